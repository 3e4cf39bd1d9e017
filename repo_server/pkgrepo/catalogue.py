"""pkg's catalogues: archives with one signed payload, and the packages that it lists (reference/freebsd-pkg §2.3–§2.5).

    data.pkg          data.sig data.pub data                      one JSON object with all packages
    packagesite.pkg   … packagesite.yaml                          one JSON object to a line
    files.pkg         … files          (pkg 2.8)                  who installs which file (`filelist`)
    filesite.pkg      … filesite.yaml  (up to pkg 2.7)

`read_catalogue` gives the payload and the signatures beside it; whether they are good is another question
(`signatures`). Like a client of today it takes at most eight members for signatures, of 1 byte to 1 MiB, and one payload;
unlike it, it refuses every other member, since nobody signs those.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from repo_server.pkgrepo.signatures import MAX_SIGNATURES, Signature
from signing.errors import FormatError
from signing.format.collector import collector_paused
from signing.format.fields import integer_of, list_of, object_of, placed
from signing.format.pkg.compression import Compression, StreamLimits, open_decompressed
from signing.format.pkg.index import MAX_DEPENDENCIES, MAX_PACKAGE_BYTES, MAX_PACKAGES
from signing.format.pkg.json_text import read_json
from signing.format.pkg.manifest import MAX_FLATSIZE, parse_deps
from signing.format.pkg.names import (
    PackageName,
    PackagePin,
    PackageVersion,
    parse_origin,
    parse_package_abi,
    parse_package_name,
    parse_package_path,
    parse_package_version,
)
from signing.format.pkg.sums import Sum
from signing.format.pkg.tar import MemberKind, TarHeader, TarReader

PayloadName = Literal["data", "packagesite.yaml", "files", "filesite.yaml"]

ARCHIVES: Final[Mapping[str, PayloadName]] = MappingProxyType(
    {
        "data.pkg": "data",
        "packagesite.pkg": "packagesite.yaml",
        "files.pkg": "files",
        "filesite.pkg": "filesite.yaml",
    }
)
MAX_ARCHIVE_BYTES: Final = 256 << 20
MAX_PAYLOAD_BYTES: Final = 512 << 20
MAX_SIGNATURE_BYTES: Final = 1 << 20
_MAX_EXPIRED: Final = 100_000
_LIMITS: Final = StreamLimits(max_bytes=MAX_PAYLOAD_BYTES + (16 << 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPayload:
    """The payload of a catalogue and what signatures stand beside it; nobody looked whether they are good."""

    payload: bytes
    signatures: tuple[Signature, ...]
    members: tuple[str, ...]
    compression: Compression


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One package, as a catalogue lists it. ``raw`` is the complete object."""

    name: PackageName
    version: PackageVersion
    origin: str
    path: str
    size: int
    sum: Sum
    abi: str
    arch: str
    flatsize: int
    deps: tuple[PackagePin, ...]
    raw: Mapping[str, Any]

    @property
    def pin(self) -> PackagePin:
        """Which package this is."""
        return PackagePin(self.name, self.version)

    @classmethod
    def of(cls, value: object, *, where: str) -> Self:
        """Return the entry that the parsed object ``value`` is.

        Raises:
            FormatError: not an entry that pkg writes.
        """
        raw = object_of(value, where)
        try:
            return cls._of(raw)
        except FormatError as error:
            raise placed(error, where) from error

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> Self:
        path = parse_package_path(raw.get("path"))
        if raw.get("repopath", path) != path:
            raise FormatError("path and repopath differ")
        deps = parse_deps(raw.get("deps", {}), where="deps")
        if len(deps) > MAX_DEPENDENCIES:
            raise FormatError(f"more than {MAX_DEPENDENCIES} dependencies")
        arch = raw.get("arch", "")
        return cls(
            name=parse_package_name(raw.get("name"), where="name"),
            version=parse_package_version(raw.get("version")),
            origin=parse_origin(raw.get("origin")),
            path=path,
            size=integer_of(raw.get("pkgsize"), "pkgsize", MAX_PACKAGE_BYTES),
            sum=Sum.parse(raw.get("sum")),
            abi=parse_package_abi(raw.get("abi")),
            arch=arch if isinstance(arch, str) else "",
            flatsize=integer_of(raw.get("flatsize", 0), "flatsize", MAX_FLATSIZE),
            deps=deps,
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What a repository offers. Entries are in the order of the file."""

    entries: tuple[CatalogueEntry, ...]
    groups: tuple[Mapping[str, Any], ...] = ()
    expired: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if len(self.entries) > MAX_PACKAGES:
            raise FormatError(f"more than {MAX_PACKAGES} packages", where="catalogue")
        for what, keys in (
            ("package", [(entry.name, entry.version) for entry in self.entries]),
            ("path", [entry.path.casefold() for entry in self.entries]),
        ):
            if len(set(keys)) != len(keys):
                raise FormatError(f"names one {what} twice", where="catalogue")


def read_catalogue(data: bytes, member: PayloadName) -> SignedPayload:
    """Return the payload ``member`` of the archive ``data``, and the signatures beside it.

    Raises:
        FormatError: not such an archive, or beyond the limits.
    """
    where = next(name for name, payload in ARCHIVES.items() if payload == member)
    if len(data) > MAX_ARCHIVE_BYTES:
        raise FormatError(f"larger than {MAX_ARCHIVE_BYTES} bytes", where=where)
    stream = open_decompressed(io.BytesIO(data), _LIMITS, where=where)
    reader = TarReader(stream, where=where)
    parts: dict[str, bytes] = {}
    while (header := reader.next()) is not None:
        if header.name in parts:
            raise FormatError(f"holds {header.name[:60]!a} twice", where=where)
        _check_member(header, member, where)
        if header.name != member and len(parts) - (member in parts) >= MAX_SIGNATURES:
            raise FormatError(f"holds more than {MAX_SIGNATURES} members for signatures", where=where)
        parts[header.name] = b"".join(reader.content())
    if member not in parts:
        raise FormatError(f"holds no {member}", where=where)
    names = tuple(parts)
    payload = parts.pop(member)
    return SignedPayload(
        payload=payload, signatures=_paired(parts, where), members=names, compression=stream.kind
    )


@collector_paused()
def parse_data(payload: bytes) -> Catalogue:
    """Return the catalogue that ``data`` is.

    Raises:
        FormatError: not what pkg writes.
    """
    value = object_of(read_json(payload, where="data", max_bytes=MAX_PAYLOAD_BYTES), "data")
    if unknown := sorted(set(value) - {"groups", "expired_packages", "packages"}):
        raise FormatError(f"has the unknown key {unknown[0][:40]!a}", where="data")
    groups = list_of(value.get("groups", []), "data.groups")
    expired = list_of(value.get("expired_packages", []), "data.expired_packages")
    packages = list_of(value.get("packages"), "data.packages")
    if max(len(groups), len(expired)) > _MAX_EXPIRED or len(packages) > MAX_PACKAGES:
        raise FormatError("lists too much", where="data")
    return Catalogue(
        entries=_entries(packages, "data.packages"),
        groups=tuple(_group(item, f"data.groups[{place}]") for place, item in enumerate(groups)),
        expired=tuple(expired),
    )


def parse_packagesite(payload: bytes) -> Catalogue:
    """Return the catalogue that ``packagesite.yaml`` is; it has no groups.

    Raises:
        FormatError: not what pkg writes.
    """
    return Catalogue(entries=_entries(list(packagesite_objects(payload)), "packagesite.yaml"))


def packagesite_objects(payload: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects of ``packagesite.yaml``, one line at a time.

    Raises:
        FormatError: a line is none, or there are too many.
    """
    where = "packagesite.yaml"
    for place, line in enumerate(io.BytesIO(payload)):
        if place >= MAX_PACKAGES:
            raise FormatError(f"more than {MAX_PACKAGES} packages", where=where)
        yield object_of(read_json(line, where=where, max_bytes=MAX_PAYLOAD_BYTES), where)


def _entries(values: Sequence[object], where: str) -> tuple[CatalogueEntry, ...]:
    return tuple(CatalogueEntry.of(value, where=f"{where}[{place}]") for place, value in enumerate(values))


def _group(value: object, where: str) -> Mapping[str, Any]:
    group = object_of(value, where)
    for key in ("name", "comment"):
        if not isinstance(group.get(key), str):
            raise FormatError("missing, or not a string", where=f"{where}.{key}")
    for key in ("depends", "requires"):
        if not all(isinstance(item, str) for item in list_of(group.get(key, []), f"{where}.{key}")):
            raise FormatError("not a list of names", where=f"{where}.{key}")
    return MappingProxyType(group)


def _check_member(header: TarHeader, member: str, where: str) -> None:
    if header.kind is not MemberKind.FILE:
        raise FormatError(f"{header.name[:60]!a} is not a file", where=where)
    if header.name == member:
        if header.size > MAX_PAYLOAD_BYTES:
            raise FormatError(f"{member} is larger than {MAX_PAYLOAD_BYTES} bytes", where=where)
        return
    stem, _, suffix = header.name.rpartition(".")
    if header.name != "signature" and (suffix not in {"sig", "pub"} or not stem or "/" in stem):
        raise FormatError(f"holds {header.name[:60]!a}, which nobody signs", where=where)
    if not 1 <= header.size <= MAX_SIGNATURE_BYTES:
        # An empty signature was packed by pkg and published for two days (reference/freebsd-pkg §1.3).
        raise FormatError(
            f"{header.name[:60]!a} has {header.size} bytes, not 1 to {MAX_SIGNATURE_BYTES}", where=where
        )


def _paired(parts: dict[str, bytes], where: str) -> tuple[Signature, ...]:
    found = []
    for name, value in parts.items():
        stem, _, suffix = name.rpartition(".")
        if name == "signature":
            found.append(Signature(name=name, value=value))
        elif suffix == "sig":
            if (certificate := parts.get(f"{stem}.pub")) is None:
                raise FormatError(f"{name[:60]!a} has no certificate beside it", where=where)
            found.append(Signature(name=stem, value=value, certificate=certificate))
        elif f"{stem}.sig" not in parts:
            raise FormatError(f"{name[:60]!a} has no signature beside it", where=where)
    return tuple(found)
