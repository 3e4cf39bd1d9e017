"""One package file against its catalogue entry: size, sum, manifest, and on demand every file in it.

A package is read once, and hashed while it is read. Never more is read than the catalogue says there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from repo_server.pkgrepo.catalogue import CatalogueEntry
from signing.errors import DigestMismatchError, FormatError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.archive import check_payload, read_package
from signing.format.pkg.compression import ByteSource
from signing.format.pkg.sums import Digests, Hasher

_PIECE: Final = 1 << 20
_OF_CATALOGUE: Final = frozenset({"sum", "path", "repopath", "pkgsize"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedPackage:
    """What a package file turned out to be. ``files`` is None when they were not looked at."""

    size: int
    digests: Digests
    compact_sha256: Sha256
    files: int | None


def examine_package(source: ByteSource, entry: CatalogueEntry, *, files: bool = False) -> ExaminedPackage:
    """Return what the package in ``source`` is, when it is the one that ``entry`` lists.

    Raises:
        DigestMismatchError: size, sum, manifest or (with ``files``) a file is not what is said of it.
        FormatError: it is not a package.
    """
    hashed = _Hashed(source, entry)
    compact, count, refusal = b"", None, None
    try:
        with read_package(hashed, where=entry.path) as package:
            compact = package.compact_bytes
            check_manifest(entry, package.compact.raw, package.manifest.raw)
            count = check_payload(package, where=entry.path) if files else None
    except (FormatError, DigestMismatchError) as error:
        refusal = error
    digests = hashed.finish()  # first: when these are other bytes, whatever is wrong inside follows from that
    if refusal is not None:
        raise refusal
    return ExaminedPackage(size=entry.size, digests=digests, compact_sha256=sha256_of(compact), files=count)


def check_manifest(entry: CatalogueEntry, compact: Mapping[str, Any], full: Mapping[str, Any]) -> None:
    """Return None when the package says of itself what the catalogue says of it.

    Raises:
        DigestMismatchError: they differ; a client decides by the one and installs the other.
    """
    listed = {key: value for key, value in entry.raw.items() if key not in _OF_CATALOGUE}
    for key in sorted({*listed, *compact}) if listed != compact else ():
        # Up to pkg 2.7 a catalogue also has what only the full manifest says: files and scripts.
        if key not in listed or listed[key] != full.get(key):
            raise DigestMismatchError(f"manifest and catalogue differ in {key[:40]!a}", where=entry.path)


class _Hashed:
    """A source that is hashed as it is read, and read no further than its entry says."""

    def __init__(self, source: ByteSource, entry: CatalogueEntry) -> None:
        self._source, self._entry = source, entry
        self._hasher = Hasher(blake2s=entry.sum.needs_blake2s)
        self._size = 0

    def read(self, count: int, /) -> bytes:
        piece = self._source.read(min(count, self._entry.size + 1 - self._size))
        self._hasher.update(piece)
        self._size += len(piece)
        return piece

    def finish(self) -> Digests:
        """Read what is left and return the digests.

        Raises:
            DigestMismatchError: another size or another sum than the entry's.
        """
        while self.read(_PIECE):
            pass
        if self._size != self._entry.size:
            more = "more than" if self._size > self._entry.size else f"{self._size} of"
            raise DigestMismatchError(f"has {more} {self._entry.size} bytes", where=self._entry.path)
        digests = self._hasher.digests()
        if not self._entry.sum.matches(digests):
            raise DigestMismatchError(
                "has another sum than the catalogue says",
                where=self._entry.path,
                hint="the file was changed or exchanged; build or fetch it again",
            )
        return digests
