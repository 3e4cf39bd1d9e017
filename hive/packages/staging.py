"""Reading a package into a staging folder: everything is written and checked, and nothing has its name yet.

The package's own manifest is signed for, by way of the index, and still not believed: what is in the payload and not in
the manifest, or the other way round, or differs, is refused, and so is what is not the package that the index names.

No script is run. Nothing gets setuid or setgid bits, since nothing here confines who would run it. Owner
and group are set where they are root and wheel and we are root; other names mean nothing outside the jail's own files,
which are not ours to believe. File flags are not set. All of it is recorded as omitted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hive.jails.materialise import HOME, RECORDS
from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.jail_config import FILES, FINGERPRINTS
from repo_client.handles import Directory
from signing.errors import FormatError, RejectedError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.pkg.archive import (
    Member,
    PackageReader,
    check_attributes,
    check_member,
    read_package,
)
from signing.format.pkg.index import IndexedPackage, fits
from signing.format.pkg.manifest import FileEntry, Manifest
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.sums import Digests, Hasher
from signing.format.pkg.tar import MemberKind

_FILE_BITS: Final = 0o777
_FOLDER_BITS: Final = 0o1777  # without its sticky bit, a folder like /tmp would be weaker than it is meant
# What is ours in every jail: a package can neither be there nor put a link in the way to it.
_OURS: Final = (HOME, RECORDS.rpartition("/")[0], *FILES, FINGERPRINTS)
_ROOT: Final = ("root", "wheel")
_SHOWN: Final = 60


class PackageConflictError(RejectedError):
    """A package would write over what another one, or the host, put there."""

    code = "package-conflict"
    exit_status = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """A file whose bytes lie in the staging folder under ``place``; hard links share one."""

    place: str
    size: int
    sha256: Sha256
    mode: int


@dataclass(slots=True)
class Staged:
    """Everything that one package installs, by its path below the root."""

    manifest: Manifest
    files: dict[str, StagedFile] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    omitted: set[str] = field(default_factory=set)


class _Source:
    """Pieces, as something that is read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held, self._at = pieces, b"", 0

    def read(self, count: int, /) -> bytes:
        if self._at == len(self._held):
            self._held, self._at = next(self._pieces, b""), 0
        piece = self._held[self._at : self._at + count]
        self._at += len(piece)
        return piece


def stage(folder: Directory, given: AdmittedBytes, *, as_root: bool) -> Staged:
    """Write the files of a package into ``folder`` and return what they are to become.

    Args:
        folder: empty, and nobody's but ours.
        given: the package; it is read to its end.
        as_root: whether owners can be set.

    Raises:
        WrongSubjectError: it is another package, or for another ABI, than the index says.
        DigestMismatchError, FormatError: it is not what its manifest says.
        PackageConflictError: it installs something where only this host does.
        HostError: cannot be written.
    """
    evidence, where = given.admission.package, str(given.admission.pin)
    source = _Source(given)
    with read_package(source, where=where) as reader:
        staged = Staged(manifest=reader.manifest)
        _check_subject(reader.manifest, evidence.package, evidence.packages.repo)
        _stage_members(reader, folder, staged, where=where, as_root=as_root)
    if source.read(1):
        raise FormatError("something stands behind the package", where=where)
    for path, entry in staged.manifest.directories.items():
        relative = _relative(path, where, folder=True)
        if relative not in staged.folders:
            _owned(staged, entry.uname or _ROOT[0], entry.gname or _ROOT[1], as_root=as_root)
            staged.folders[relative] = _mode(staged, relative, entry.perm, _FOLDER_BITS)
    _note_omitted(staged)
    return staged


def _check_subject(manifest: Manifest, package: IndexedPackage, repo: PackageRepo) -> None:
    if manifest.pin != package.pin or {dep.name for dep in manifest.deps} != {
        dep.name for dep in package.deps
    }:
        raise WrongSubjectError(
            f"the package says that it is {manifest.pin}, the index that it is {package.pin}"
            if manifest.pin != package.pin
            else "the package needs others than the index says",
            where=package.path,
        )
    if manifest.abi != package.abi or not fits(manifest.abi, repo):
        raise WrongSubjectError(
            f"{manifest.pin} is for {manifest.abi}, not for {repo.abi}", where=package.path
        )


def _stage_members(
    reader: PackageReader, folder: Directory, staged: Staged, *, where: str, as_root: bool
) -> None:
    missing = set(reader.manifest.files)
    digests: dict[str, Digests] = {}
    for member in reader.members():
        place = f"{where}: {member.name}"
        path = _relative(member.name, where, folder=member.kind is MemberKind.FOLDER)
        if member.flags:
            staged.omitted.add(f"flags {ascii(member.flags)[1:-1][:_SHOWN]} of {ascii(path)[1:-1]}")
        if member.kind is MemberKind.FOLDER:
            entry = reader.manifest.directories.get(member.name)
            if entry is None:
                raise FormatError("is not in the manifest", where=place)
            check_attributes(member, entry, where=place)
            _owned(staged, member.uname, member.gname, as_root=as_root)
            staged.folders[path] = _mode(staged, path, member.mode, _FOLDER_BITS)
            continue
        entry = reader.manifest.files.get(member.name)
        if entry is None:
            raise FormatError("is not in the manifest", where=place)
        missing.discard(member.name)
        found = _stage_file(folder, staged, member, entry, known=digests, as_root=as_root)
        digests[member.name] = found
        check_member(member, entry, found, where=place)
    if missing:
        raise FormatError(
            f"{len(missing)} file(s) of the manifest are not there, first: {min(missing)!a}", where=where
        )


def _stage_file(
    folder: Directory,
    staged: Staged,
    member: Member,
    entry: FileEntry,
    *,
    known: dict[str, Digests],
    as_root: bool,
) -> Digests:
    path = member.name[1:]
    hasher = Hasher(blake2s=entry.sum is not None and entry.sum.needs_blake2s)
    match member.kind:
        case MemberKind.SYMLINK:
            _owned(staged, member.uname, member.gname, as_root=as_root)
            staged.links[path] = member.link
            hasher.update(member.link.encode())
        case MemberKind.HARDLINK:
            staged.files[path] = staged.files[member.link[1:]]
            return known[member.link]
        case _:
            owned = _owned(staged, member.uname, member.gname, as_root=as_root)
            place, size = str(len(staged.files)), 0
            mode = _mode(staged, path, member.mode, _FILE_BITS)

            def pieces() -> Iterator[bytes]:
                nonlocal size
                for piece in member.chunks():
                    hasher.update(piece)
                    size += len(piece)
                    yield piece

            folder.create_file(place, pieces(), mode, owner=(0, 0) if owned else None, sync=False)
            found = hasher.digests()
            staged.files[path] = StagedFile(place=place, size=size, sha256=found.sha256, mode=mode)
            return found
    return hasher.digests()


def _relative(name: str, where: str, *, folder: bool) -> str:
    """Return an absolute, plain name as a path below the root; what is ours there is not a package's."""
    path = name[1:]
    for ours in _OURS:
        below = f"{path}/".startswith(f"{ours}/")
        in_the_way = not folder and f"{ours}/".startswith(f"{path}/")
        if below or in_the_way:
            raise PackageConflictError(f"{path!a} is this host's own place in every jail", where=where)
    return path


def _owned(staged: Staged, uname: str, gname: str, *, as_root: bool) -> bool:
    """Return whether this owner is what we can give; another one is noted as left out."""
    owned = (uname, gname) == _ROOT and as_root
    if not owned:
        staged.omitted.add(f"owner {uname}:{gname}")
    return owned


def _mode(staged: Staged, path: str, mode: int | None, bits: int) -> int:
    if mode is None:
        return 0o755
    if mode & ~bits:
        staged.omitted.add(f"mode {mode:04o} of {ascii(path)[1:-1]}")
    return mode & bits


def _note_omitted(staged: Staged) -> None:
    manifest = staged.manifest
    scripts = (*manifest.scripts, *manifest.lua_scripts)
    staged.omitted |= {f"script {ascii(name)[1:-1][:_SHOWN]}" for name in scripts}  # free text of the package
    staged.omitted |= {f"user {name}" for name in manifest.users}
    staged.omitted |= {f"group {name}" for name in manifest.groups}
