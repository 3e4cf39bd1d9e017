"""Ready sets: the skills of one lock in one folder, made once and shown to every jail that has just these (edge).

    <folder>/5d…/web-search/SKILL.md      5d… is the digest of the names and tree digests in it
    <folder>.stamps/5d…                   what the kernel said of all of it when it was last compared
    <folder>.quarantine/5d…-…-3f…         what turned out to be something else; jails may be shown it still

A set is made of verified bundles, and looked at whenever it is taken, in one of two ways:

    birth         all of it is read and compared with the digests
    store-entry   the kernel is asked about each name; while all stamps stand nothing is read, else all of it is compared

What is something else is put aside and made anew. A set is never written to after it has its name, never removed by us,
and nobody but the host can reach it: jails see it through a read-only mount. A jail that runs goes on to see what was put
aside until it is restarted, so that stays too, and a sweep says so (`hive.jails.compare.hidden`). What is trusted by all
that, and what is not, stands in docs/decisions/0025.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

from repo_client.entries import TEMPORARY_PREFIX, MissingPathError, UnsafePathError, temporary_name
from repo_client.handles import Directory
from repo_client.quarantine import is_damage, put_aside, tell_changed
from repo_client.single_files import kinds_in
from repo_client.stamps import Kept, StampBook, Stamps, stamps_of
from repo_client.syncing import sync_tree
from repo_client.trees import names_of, tree_matches, write_tree
from repo_client.verify_at import VerifyAt
from signing.errors import DigestMismatchError, HostError, SkillRepoError
from signing.format.archive import Bundle
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.sealed import unchangeable


class _Seal:
    """The one instance of this class is what makes a `ReadySet`; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySet:
    """A folder that holds exactly these trees, by name: compared now, or unchanged since it was.

    A path and no handle, because a mount is made of a path; who could put something else there is root on the host.
    """

    path: Path
    trees: Mapping[str, Sha256]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("ReadySet comes from ReadySets.take()")


class ReadySets:
    """All ready sets of a host, below one folder that is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book = StampBook(folder.with_name(f"{folder.name}.stamps"))
        self._quarantine = folder.with_name(f"{folder.name}.quarantine")

    def take(self, bundles: Sequence[Bundle], *, verify: VerifyAt) -> ReadySet:
        """Return the set of exactly ``bundles``, which were verified; it is made when it is not here as it should be.

        Args:
            bundles: what has to stand there; none of their files is read when it does.
            verify: how to look at what is here.

        Raises:
            DigestMismatchError: what was made is not what the bundles say: somebody else writes there, or the disk fails.
            HostError: cannot be made or read; or what is something else cannot be moved away, and nothing was changed.
        """
        bundles = sorted(bundles, key=lambda bundle: bundle.manifest.pin.name)
        trees = {str(bundle.manifest.pin.name): bundle.manifest.tree_digest for bundle in bundles}
        item = sha256_of(canonical(trees))
        names = [
            f"{bundle.manifest.pin.name}/{name}" if name else str(bundle.manifest.pin.name)
            for bundle in bundles
            for name in ("", *names_of(bundle.manifest))
        ]
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make the folder {self._folder}: {error.strerror}") from error
        with Directory.open(self._folder) as sets:
            if not self._stands(sets, item, bundles, names, verify):
                self._make_anew(sets, item, bundles, names)
        return ReadySet(path=self._folder / item, trees=MappingProxyType(trees), seal=_SEAL)

    def _stands(
        self, sets: Directory, item: Sha256, bundles: Sequence[Bundle], names: Sequence[str], verify: VerifyAt
    ) -> bool:
        """Return whether ``item`` stands there as it should.

        Raises:
            HostError: it cannot be looked at, and that is no fault of what stands there.
        """
        found = sets.find(item)
        if found is None or found.kind != "folder":
            return False
        try:
            ready = sets.descend(item)
        except (MissingPathError, UnsafePathError):
            return False  # another birth puts it aside at this moment
        with ready:
            try:
                return self._is_intact(ready, item, bundles, names, verify)
            except SkillRepoError as error:
                if not is_damage(error):
                    raise
                self._book.forget(item)
                return False  # a bad part of the disk is not read better by the next birth

    def _is_intact(
        self,
        ready: Directory,
        item: Sha256,
        bundles: Sequence[Bundle],
        names: Sequence[str],
        verify: VerifyAt,
    ) -> bool:
        stamps = self._stamps(ready, names)
        known = self._book.compare(item, stamps) if stamps is not None else Kept.OTHER
        if known is Kept.SAME and verify is VerifyAt.STORE_ENTRY:
            return True
        if known is not Kept.SAME:
            self._book.forget(item)
        if stamps is None or not _is_equal(ready, bundles):
            return False
        if known is Kept.OTHER:
            tell_changed(item, intact=True)
        if known is not Kept.SAME and self._stamps(ready, names) == stamps:
            self._book.keep(item, stamps)
        return True

    def _make_anew(
        self, sets: Directory, item: Sha256, bundles: Sequence[Bundle], names: Sequence[str]
    ) -> None:
        """Put aside what stands in the place of ``item``, and make it; one at a time."""
        with Directory.open(self._folder) as guard:
            guard.lock()
            # Another birth may have been faster, and what it made is in use.
            if self._stands(sets, item, bundles, names, VerifyAt.BIRTH):
                return
            self._book.forget(item)
            if sets.find(item) is not None:
                put_aside(sets, item, item, self._quarantine)
            for left in sets.entries():
                if left.name.startswith(TEMPORARY_PREFIX):  # its maker was killed: the lock is ours
                    sets.remove_tree(left.name)
            _write(sets, item, bundles)
            if not self._stands(sets, item, bundles, names, VerifyAt.BIRTH):
                raise DigestMismatchError(
                    "a set of skills is not what was just written",
                    where=f"{self._folder}/{item}",
                    hint="check the disk, and who else writes there",
                )

    def _stamps(self, ready: Directory, names: Sequence[str]) -> Stamps | None:
        """Return the stamps of all ``names``; None when one is not there, or cannot be read from the disk."""
        try:
            return stamps_of(ready, names)
        except HostError as error:
            if not is_damage(error):
                raise
            return None


def _write(sets: Directory, item: Sha256, bundles: Sequence[Bundle]) -> None:
    """Write ``bundles``, which are read for that; they get their name when every byte is on the disk."""
    temporary = temporary_name()
    sets.make_folder(temporary, 0o700, sync=False)
    try:
        with sets.descend(temporary) as ready:
            for bundle in bundles:
                write_tree(ready, bundle.manifest.pin.name, bundle, read_only=True, sync=False)
            ready.set_mode(0o755)
            sync_tree(ready)
        sets.rename(temporary, item)
    except BaseException:
        with contextlib.suppress(SkillRepoError):
            sets.remove_tree(temporary)
        raise
    sets.sync()


def _is_equal(ready: Directory, bundles: Sequence[Bundle]) -> bool:
    """Return whether exactly ``bundles`` stand in ``ready``, to the byte; none of them is read for that."""
    try:
        kinds = kinds_in(ready, limit=len(bundles))
    except UnsafePathError:
        return False  # there is more
    if kinds != {str(bundle.manifest.pin.name): "folder" for bundle in bundles}:
        return False
    return all(tree_matches(ready, bundle.manifest.pin.name, bundle) for bundle in bundles)
