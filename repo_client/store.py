"""The store of verified trees: one folder per tree digest (edge).

    <folder>/ab/ab12…/SKILL.md            the trees
    <folder>.stamps/ab12…                 what the kernel said of them when they were last compared (`repo_client.stamps`)
    <folder>.quarantine/ab12…-…-5f…       what turned out to be something else

A tree is put here after it was verified, and is verified again from its bytes whenever they are taken out: disks rot, and
whoever could write here is not to decide what enters a jail. A damaged tree is put aside and fetched again. The store saves
the network, never the check. What stamps save is a second reading: as long as they stand, the bytes are compared when they
are used, and not before that too.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from repo_client.entries import os_errors
from repo_client.handles import Directory
from repo_client.quarantine import is_damage, set_aside, tell_changed
from repo_client.stamps import Kept, StampBook, Stamps, stamps_of
from repo_client.syncing import sync_below
from repo_client.trees import names_of, write_tree
from signing.errors import ConflictError, DigestMismatchError, HostError, SkillRepoError
from signing.evidence import VerifiedBundle, verify_kept_tree, verify_tree
from signing.format.archive import Bundle
from signing.format.digest import Sha256, parse_sha256
from signing.format.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileEntry, Manifest, MemberPath
from signing.format.names import Pin
from signing.trusted import VouchedTarget

_PREFIX: Final = 2


class TreeStore:
    """Unpacked, verified bundles below one folder (``ab/ab12…/SKILL.md``)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book = StampBook(folder.with_name(f"{folder.name}.stamps"))
        self._quarantine = folder.with_name(f"{folder.name}.quarantine")
        self._together = False
        self._compared: dict[Sha256, Stamps] = {}
        self._written: set[Sha256] = set()

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

    @contextlib.contextmanager
    def together(self) -> Iterator[Self]:
        """Make what is saved in here durable once, at the end; a sync per tree would cost more than all the rest."""
        self._together = True
        try:
            yield self
        finally:
            self._together = False
            self._settle()

    def load(self, pin: Pin, target: VouchedTarget) -> VerifiedBundle | None:
        """Return the release ``pin`` from the store, or None when it is not (intact) here.

        Its files were compared now, or will be when they are taken out of the evidence.
        """
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
                try:
                    there = _status(shelf, digest)
                except SkillRepoError:
                    return None
                try:
                    with shelf.descend(digest) as tree:
                        there = tree.status()
                        return self._verified(tree, digest, pin, target)
                except SkillRepoError as error:
                    self._book.forget(digest)
                    if is_damage(error):
                        self._put_aside(shelf, digest, there)
                    return None

    def _put_aside(self, shelf: Directory, digest: Sha256, there: os.stat_result) -> None:
        """Put aside what is called ``digest``, if it still is what was looked at: ``there``.

        Another process may have put it aside already, and fetched the right one.
        """
        with contextlib.suppress(SkillRepoError):
            if os.path.samestat(_status(shelf, digest), there):
                set_aside(shelf, digest, digest, self._quarantine)

    def _verified(self, tree: Directory, digest: Sha256, pin: Pin, target: VouchedTarget) -> VerifiedBundle:
        manifest = _parsed(tree.read_file(MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES))
        if manifest.tree_digest != digest:  # said here, because it is the tree's fault and not the metadata's
            raise DigestMismatchError("is another tree", where=tree.label)
        stamps = stamps_of(tree, names_of(manifest))
        known = self._book.compare(digest, stamps)
        if known is Kept.SAME:
            return verify_kept_tree(
                manifest,
                _Reader(tree),
                pin=pin,
                target=target,
                told=lambda: self._book.forget(digest),
            )
        self._book.forget(digest)
        bundle = verify_tree(_read(tree, manifest), pin=pin, target=target)
        if known is Kept.OTHER:
            tell_changed(digest, intact=True)
        if stamps_of(tree, names_of(manifest)) == stamps:
            self._compared[digest] = stamps
            self._settle()
        return bundle

    def save(self, bundle: VerifiedBundle) -> None:
        """Keep ``bundle`` if that is possible; two processes that keep the same one at once both succeed.

        What cannot be kept is fetched again next time: the store saves the network, never the check, and
        something that stands in its way must not stop births for ever.
        """
        with contextlib.suppress(SkillRepoError):
            self._save(bundle)
            self._settle()

    def _save(self, bundle: VerifiedBundle) -> None:
        digest = bundle.tree_sha256
        with (
            Directory.open(self._folder) as store,
            store.descend(digest[:_PREFIX], create=True, sync=False) as shelf,
        ):
            if shelf.find(digest) is None:
                with contextlib.suppress(ConflictError):
                    write_tree(shelf, digest, bundle.bundle, read_only=True, sync=False)
                    self._written.add(digest)

    def _settle(self) -> None:
        """Let the disk have what was written, and then note what was compared."""
        settling = self._written | self._compared.keys()
        if self._together or not settling:
            return
        with contextlib.suppress(SkillRepoError), Directory.open(self._folder) as store:
            sync_below(store, [f"{digest[:_PREFIX]}/{digest}" for digest in sorted(settling)])
            for digest, stamps in self._compared.items():
                self._book.keep(digest, stamps)
        self._written, self._compared = set(), {}


@functools.lru_cache(maxsize=256)
def _parsed(data: bytes) -> Manifest:
    """Return the manifest written as ``data``; a host births many jails of few profiles."""
    return Manifest.parse(data)


def _status(shelf: Directory, name: str) -> os.stat_result:
    """Return lstat of ``name``; MissingPathError when it is not there, HostError when it cannot be asked."""
    with os_errors("look", f"{shelf.label}/{name}"):
        return os.stat(name, dir_fd=shelf.fileno(), follow_symlinks=False)


class _Reader:
    """Reads the files of one tree, through the handle that was looked at; it lives as long as the evidence."""

    def __init__(self, tree: Directory) -> None:
        self._tree = tree.duplicate()

    def __call__(self, entry: FileEntry) -> bytes:
        return _read_member(self._tree, entry)

    def __del__(self) -> None:
        self._tree.close()


def _read(tree: Directory, manifest: Manifest) -> Bundle:
    """Return the listed files of ``tree`` as bytes; what is not listed is not read, so it is not installed."""
    contents = {entry.path: _read_member(tree, entry) for entry in manifest.files}
    return Bundle(manifest=manifest, contents=MappingProxyType(contents))


def _read_member(tree: Directory, entry: FileEntry) -> bytes:
    folder, _, name = MemberPath(entry.path).rpartition("/")
    if not folder:
        return tree.read_file(name, max_bytes=entry.size)
    with tree.descend(folder) as inner:
        return inner.read_file(name, max_bytes=entry.size)
