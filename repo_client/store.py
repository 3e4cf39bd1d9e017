"""The store of verified trees: one folder per tree digest (edge).

A tree is put here after it was verified, and is verified again from its bytes whenever it is taken out: disks
rot, and whoever could write here is not to decide what enters a jail. A damaged tree is dropped and fetched
again. The store saves the network, never the check.
"""

import contextlib
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from repo_client.handles import Directory
from repo_client.trees import write_tree
from signing.errors import ConflictError, HostError, SkillRepoError
from signing.evidence import VerifiedBundle, verify_tree
from signing.format.archive import Bundle
from signing.format.digest import parse_sha256
from signing.format.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileEntry, Manifest, MemberPath
from signing.format.names import Pin
from signing.trusted import VouchedTarget

_PREFIX: Final = 2


class TreeStore:
    """Unpacked, verified bundles below one folder (``ab/ab12…/SKILL.md``)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Return the store in ``folder``, which is made when it is missing.

        Raises:
            HostError: it cannot be made.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make the store {folder}: {error.strerror}") from error
        return cls(folder)

    def load(self, pin: Pin, target: VouchedTarget) -> VerifiedBundle | None:
        """Return the release ``pin`` from the store, verified again, or None when it is not (intact) here."""
        try:
            digest = parse_sha256(target.custom.get("tree_sha256"))
        except SkillRepoError:
            return None  # the download path tells what is wrong with such metadata
        with Directory.open(self._folder) as store:
            try:
                shelf = store.descend(digest[:_PREFIX])
            except SkillRepoError:
                return None  # absent; or something else stands there, which is not ours to read or remove
            with shelf:
                if shelf.find(digest) is None:
                    return None
                try:
                    with shelf.descend(digest) as tree:
                        return verify_tree(_read(tree), pin=pin, target=target)
                except SkillRepoError:
                    with contextlib.suppress(SkillRepoError):
                        shelf.remove_tree(digest)
                    return None

    def save(self, bundle: VerifiedBundle) -> None:
        """Keep ``bundle`` if that is possible; two processes that keep the same one at once both succeed.

        What cannot be kept is fetched again next time: the store saves the network, never the check, and
        something that stands in its way must not stop births for ever.
        """
        with contextlib.suppress(SkillRepoError):
            self._save(bundle)

    def _save(self, bundle: VerifiedBundle) -> None:
        digest = bundle.tree_sha256
        with Directory.open(self._folder) as store, store.descend(digest[:_PREFIX], create=True) as shelf:
            if shelf.find(digest) is None:
                with contextlib.suppress(ConflictError):
                    write_tree(shelf, digest, bundle.bundle, read_only=True)


def _read(tree: Directory) -> Bundle:
    """Return the listed files of ``tree`` as bytes; what is not listed is not read, so it is not installed."""
    manifest = Manifest.parse(tree.read_file(MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES))
    contents = {entry.path: _read_member(tree, entry) for entry in manifest.files}
    return Bundle(manifest=manifest, contents=MappingProxyType(contents))


def _read_member(tree: Directory, entry: FileEntry) -> bytes:
    folder, _, name = MemberPath(entry.path).rpartition("/")
    if not folder:
        return tree.read_file(name, max_bytes=entry.size)
    with tree.descend(folder) as inner:
        return inner.read_file(name, max_bytes=entry.size)
