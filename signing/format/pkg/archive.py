"""A package file, read once from front to back: manifests first, then what it installs (reference/freebsd-pkg §2.8).

    +COMPACT_MANIFEST      a file; what the package is
    +MANIFEST              a file; the same, with files, folders and scripts
    /usr/local/…           files, links and folders under absolute names, each once

    with read_package(stream) as package:
        package.manifest.pin
        for member in package.members():
            for piece in member.chunks(): ...

Nothing is held but the manifests and the names: a package can be larger than the memory. Refused are members that are
neither, in another order, twice, with ``..`` in their names, or below a file or a link that came earlier (unpacked, they
would land where the link points), and hard links to anything but an earlier file. What stands in the manifests is the
package's own word: `check_payload` compares it with what is there.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from signing.errors import DigestMismatchError, FormatError
from signing.format.pkg.compression import ByteSource, Compression, StreamLimits, open_decompressed
from signing.format.pkg.manifest import (
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    parse_owner,
    parse_payload_path,
)
from signing.format.pkg.sums import Digests, Hasher
from signing.format.pkg.tar import MemberKind, TarHeader, TarReader

COMPACT_NAME: Final = "+COMPACT_MANIFEST"
MANIFEST_NAME: Final = "+MANIFEST"
_ONLY_IN_FULL: Final = frozenset({"files", "directories", "scripts", "lua_scripts", "config"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLimits:
    """How much one package may hold."""

    stream: StreamLimits = field(default_factory=StreamLimits)
    max_members: int = 500_000
    max_name_bytes: int = 64 << 20
    max_manifest_bytes: int = MAX_MANIFEST_BYTES


class Member:
    """Something that a package installs. Its content is there until the next member is asked for."""

    __slots__ = ("_reader", "flags", "gname", "kind", "link", "mode", "mtime", "name", "size", "uname")

    def __init__(self, header: TarHeader, reader: TarReader) -> None:
        self.name, self.kind, self.mode, self.size = header.name, header.kind, header.mode, header.size
        self.uname, self.gname, self.mtime, self.link = header.uname, header.gname, header.mtime, header.link
        self.flags = header.flags
        self._reader = reader

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, in pieces, once.

        Raises:
            FormatError: damaged or cut off.
        """
        return self._reader.content()


class PackageReader:
    """A package that is being read. ``compact`` and ``manifest`` are there from the beginning."""

    def __init__(self, source: ByteSource, limits: PackageLimits, *, where: str) -> None:
        stream = open_decompressed(source, limits.stream, where=where)
        self.compression: Compression = stream.kind
        self._reader, self._limits, self._where = TarReader(stream, where=where), limits, where
        self.compact, self.compact_bytes = self._manifest(COMPACT_NAME)
        self.manifest, self.manifest_bytes = self._manifest(MANIFEST_NAME)
        check_same_manifest(self.compact.raw, self.manifest.raw, where=where)
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: the stream is the caller's."""

    def members(self) -> Iterator[Member]:
        """Yield what the package installs, in its order; once. The end is reached only when nothing follows it.

        Raises:
            FormatError: something that a package does not hold, damaged, or more than the limits.
        """
        if self._started:
            raise FormatError("was read already", where=self._where)
        self._started = True
        names = _Names(self._limits, self._where)
        while (header := self._reader.next()) is not None:
            names.add(header)
            yield Member(header, self._reader)

    def _manifest(self, name: str) -> tuple[Manifest, bytes]:
        header = self._reader.next()
        if header is None or header.name != name or header.kind is not MemberKind.FILE:
            raise FormatError(f"does not begin with {COMPACT_NAME} and {MANIFEST_NAME}", where=self._where)
        if header.size > self._limits.max_manifest_bytes:
            raise FormatError(
                f"{name} is larger than {self._limits.max_manifest_bytes} bytes", where=self._where
            )
        data = b"".join(self._reader.content())
        return Manifest.parse(data, f"{self._where}: {name}"), data


def read_package(
    source: ByteSource, limits: PackageLimits | None = None, *, where: str = "package"
) -> PackageReader:
    """Return the package in ``source``, with its manifests read. The source stays the caller's to close.

    Raises:
        FormatError: not a package.
    """
    return PackageReader(source, limits or PackageLimits(), where=where)


def check_same_manifest(compact: Mapping[str, Any], full: Mapping[str, Any], *, where: str) -> None:
    """Return None when both manifests of a package say the same; pkg shows one and installs the other.

    Raises:
        FormatError: they differ.
    """
    for key in sorted(set(compact) | set(full)):
        if compact.get(key) != full.get(key) and (key in compact or key not in _ONLY_IN_FULL):
            raise FormatError(f"{COMPACT_NAME} and {MANIFEST_NAME} differ in {key[:40]!a}", where=where)


def check_payload(package: PackageReader, *, where: str = "package") -> int:
    """Read ``package`` to its end and return how many files it holds, when all are what its manifest lists.

    Raises:
        DigestMismatchError: a file, link, owner or mode is not what the manifest says.
        FormatError: listed and not there, there and not listed, or not a package.
    """
    manifest = package.manifest
    missing, seen = set(manifest.files), dict[str, Digests]()
    for member in package.members():
        place = f"{where}: {member.name}"
        if member.kind is MemberKind.FOLDER:
            if (folder := manifest.directories.get(member.name)) is None:
                raise FormatError("is not in the manifest", where=place)
            check_attributes(member, folder, where=place)
            continue
        entry = manifest.files.get(member.name)
        if entry is None:
            raise FormatError("is not in the manifest", where=place)
        missing.discard(member.name)
        digests = _digests(member, entry, seen)
        if member.kind is not MemberKind.SYMLINK:
            seen[member.name] = digests
        check_member(member, entry, digests, where=place)
    if missing:
        raise FormatError(
            f"{len(missing)} file(s) of the manifest are not there, first: {min(missing)!a}", where=where
        )
    return len(manifest.files)


def check_member(member: Member, entry: FileEntry, digests: Digests, *, where: str) -> None:
    """Return None when a member with these ``digests`` is what ``entry`` says (a link's bytes are its target).

    Raises:
        DigestMismatchError: it is not.
    """
    if entry.sum is None or not entry.sum.matches(digests):
        raise DigestMismatchError("is not what the package's own manifest says", where=where)
    if entry.symlink_target is not None and (member.kind, member.link) != (
        MemberKind.SYMLINK,
        entry.symlink_target,
    ):
        raise DigestMismatchError("is not the link of the manifest", where=where)
    check_attributes(member, entry, where=where)


def check_attributes(member: Member, entry: FileEntry, *, where: str) -> None:
    """Return None when owner, group and mode are those of ``entry``; what it does not say is not compared.

    Raises:
        DigestMismatchError: they are others.
    """
    # The mode of a symbolic link means nothing, and depends on who made it.
    mode = entry.perm if member.kind is MemberKind.SYMLINK else member.mode
    for said, found in ((entry.uname, member.uname), (entry.gname, member.gname), (entry.perm, mode)):
        if said is not None and said != found:
            raise DigestMismatchError("has another owner, group or mode than the manifest says", where=where)


def _digests(member: Member, entry: FileEntry, seen: Mapping[str, Digests]) -> Digests:
    if member.kind is MemberKind.HARDLINK:
        return seen[member.link]
    hasher = Hasher(blake2s=entry.sum is not None and entry.sum.needs_blake2s)
    if member.kind is MemberKind.SYMLINK:
        hasher.update(member.link.encode())
    for piece in member.chunks():
        hasher.update(piece)
    return hasher.digests()


class _Names:
    """The names of the members so far, by what they are."""

    def __init__(self, limits: PackageLimits, where: str) -> None:
        self._limits, self._where = limits, where
        self._kinds: dict[str, MemberKind] = {}
        self._parents: set[str] = set()
        self._bytes = 0

    def add(self, header: TarHeader) -> None:
        name = parse_payload_path(header.name, where=self._where)
        self._bytes += len(name)
        self._check_parents(name)
        if len(self._kinds) >= self._limits.max_members or self._bytes > self._limits.max_name_bytes:
            raise FormatError("holds too many files, or too long names", where=self._where)
        if name in self._kinds or (name in self._parents and header.kind is not MemberKind.FOLDER):
            raise FormatError(f"{name[:80]!a} stands there twice", where=self._where)
        parse_owner(header.uname, where=f"{self._where}: {name}")
        parse_owner(header.gname, where=f"{self._where}: {name}")
        self._check_link(header)
        self._kinds[name] = header.kind

    def _check_parents(self, name: str) -> None:
        parent = posixpath.dirname(name)
        while parent != "/" and parent not in self._parents:
            if self._kinds.get(parent, MemberKind.FOLDER) is not MemberKind.FOLDER:
                raise FormatError(f"{name[:80]!a} lies below a file or a link", where=self._where)
            self._parents.add(parent)
            self._bytes += len(parent)
            parent = posixpath.dirname(parent)

    def _check_link(self, header: TarHeader) -> None:
        if header.kind is MemberKind.HARDLINK and self._kinds.get(header.link) not in {
            MemberKind.FILE,
            MemberKind.HARDLINK,
        }:
            raise FormatError(f"{header.name[:80]!a} is a link to what is not there", where=self._where)
        if header.kind is MemberKind.SYMLINK and (not header.link or "\0" in header.link):
            raise FormatError(f"{header.name[:80]!a} is a link to nothing", where=self._where)
        if header.kind in {MemberKind.FILE, MemberKind.FOLDER} and header.link:
            raise FormatError(
                f"{header.name[:80]!a} has a link's target without being one", where=self._where
            )
