"""Evidence about packages, as `signing.evidence` is about skills (edge).

    VerifiedPackageSet   the anchor vouches for this index of one ABI and channel, now
    VerifiedPackage      … and the file behind this handle is one of its packages, to the byte
    VerifiedAdvisories   the anchor vouches for this list of known vulnerabilities, now

Its evidence holds the handle that was opened, never a path. And since bytes behind a handle can change, what counts is
compared when it is handed out (`VerifiedPackage.stream`). Whoever installs from a stream runs scripts long before its
end, so a digest that is compared there would come too late:

    up to 64 MiB   read into memory, compared as a whole, and handed out from there
    larger         read twice: the second time, each piece goes out when all up to its end is what it was the first time

So nothing has to be read when evidence is made of a file that was verified when it was kept (`verify_kept_package`):
whoever would trust such a file too early gains nothing, because no other byte ever leaves the evidence.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from types import TracebackType
from typing import Final, Self, final

from signing.errors import DigestMismatchError, FormatError, HostError, NotFoundError, WrongSubjectError
from signing.evidence import check_target
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.pkg.vuxml import Advisories, parse_vuxml
from signing.sealed import unchangeable
from signing.trusted import VouchedTarget

_PIECE: Final = 1 << 20
_DIGEST: Final = 32
# What a birth may hold of one package at a time, so that it has to be read once only.
_HELD: Final = 64 << 20


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


class _Sealed:
    """What all evidence here has in common: it cannot be made elsewhere."""

    __slots__ = ()

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError(
                f"{type(self).__name__} comes from its verify_ function in signing.package_evidence"
            )


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPackageSet(_Sealed):
    """The index of one package repository: what its builder's key vouches for now."""

    index: RepoIndex
    target: VouchedTarget
    seal: InitVar[_Seal]
    _by_sha256: Mapping[Sha256, IndexedPackage] = field(init=False, repr=False, compare=False)

    def __post_init__(self, seal: _Seal) -> None:
        _Sealed.__post_init__(self, seal)
        object.__setattr__(self, "_by_sha256", self.index.by_sha256())

    @property
    def repo(self) -> PackageRepo:
        """Which repository this is."""
        return self.index.repo

    def listed(self, sha256: Sha256) -> IndexedPackage:
        """Return the package ``sha256`` as this index lists it.

        Raises:
            NotFoundError: it is not listed any more, or never was.
        """
        package = self._by_sha256.get(sha256)
        if package is None:
            raise NotFoundError(
                f"{self.repo} names no package with the digest {sha256[:16]}… any more",
                hint="it was withdrawn, or its grace period ended: draft and sign the profile again",
            )
        return package


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAdvisories(_Sealed):
    """The fresh list of known vulnerabilities."""

    advisories: Advisories
    target: VouchedTarget
    seal: InitVar[_Seal]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """An open file that has to be one package; ``told`` hears when it is not."""

    handle: io.FileIO
    package: IndexedPackage
    told: Callable[[], None] | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, none of which is another than the package's.

        Raises:
            DigestMismatchError: the file holds something else; nothing of that was yielded.
            OSError, ValueError: it cannot be read.
        """
        if self.package.size > _HELD:
            yield from self._compared(_prefixes(self.handle.fileno(), self.package))
            return
        held, whole = [], hashlib.sha256()
        for at in range(0, self.package.size, _PIECE):
            held.append(_read(self.handle.fileno(), at, min(_PIECE, self.package.size - at)))
            whole.update(held[-1])
        if whole.hexdigest() != self.package.sha256:
            raise _mismatch(self.package)
        for number in range(len(held)):
            yield held[number]
            held[number] = b""  # what was taken is not held any longer

    def _compared(self, prefixes: bytes) -> Iterator[bytes]:
        whole = hashlib.sha256()
        for number in range(len(prefixes) // _DIGEST):
            at = number * _PIECE
            piece = _read(self.handle.fileno(), at, min(_PIECE, self.package.size - at))
            whole.update(piece)
            if whole.digest() != prefixes[number * _DIGEST : (number + 1) * _DIGEST]:
                raise _mismatch(self.package)
            yield piece


def _prefixes(descriptor: int, package: IndexedPackage) -> bytes:
    """Return the digests of all beginnings of the file that end with a piece; the last is that of the whole.

    Raises:
        DigestMismatchError: the file is not the package. OSError: it cannot be read.
    """
    whole, prefixes = hashlib.sha256(), bytearray()
    for at in range(0, package.size, _PIECE):
        whole.update(_read(descriptor, at, min(_PIECE, package.size - at)))
        prefixes += whole.digest()
    if whole.hexdigest() != package.sha256:
        raise _mismatch(package)
    return bytes(prefixes)


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPackage(_Sealed):
    """One package of a verified set, and the open file that holds it. A context manager; it closes the file."""

    package: IndexedPackage
    packages: VerifiedPackageSet
    seal: InitVar[_Seal]
    _file: _File

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, also for evidence that `verify_package_again` made of this; again is harmless."""
        self._file.handle.close()

    def stream(self) -> Iterator[bytes]:
        """Yield the bytes, each of them after it was seen to be what is vouched for.

        Raises:
            DigestMismatchError: the file holds something else; nothing of that has been handed out.
            HostError: it cannot be read.
        """
        try:
            yield from self._file.pieces()
        except DigestMismatchError:
            if self._file.told is not None:
                self._file.told()
            raise
        except (OSError, ValueError) as error:  # a closed file is a ValueError
            raise HostError(f"cannot read {self.package.pin}: {error}") from error


def verify_package_set(data: bytes, *, repo: PackageRepo, target: VouchedTarget) -> VerifiedPackageSet:
    """Return the index written as ``data``.

    Raises:
        DigestMismatchError: these are not the bytes that ``target`` vouches for.
        WrongSubjectError: it is about another repository.
        FormatError: not an index.
    """
    check_target(data, target)
    index = RepoIndex.parse(data)
    if target.path != repo.index_path or index.repo != repo:
        raise WrongSubjectError(f"is the index of {index.repo}, asked for was {repo}", where=target.path)
    return VerifiedPackageSet(index=index, target=target, seal=_SEAL)


def verify_advisories(data: bytes, *, target: VouchedTarget) -> VerifiedAdvisories:
    """Return the list of vulnerabilities written as ``data``.

    Raises:
        DigestMismatchError, WrongSubjectError, FormatError: as for `verify_package_set`; or nothing in it counts.
    """
    check_target(data, target)
    if target.path != ADVISORIES_PATH:
        raise WrongSubjectError("is not the list of vulnerabilities", where=target.path)
    advisories = parse_vuxml(data)
    if not advisories.entries:
        # The vacuous pass: where all is cancelled, nothing would be vulnerable.
        raise FormatError("holds no advisory that is in force", where=target.path)
    return VerifiedAdvisories(advisories=advisories, target=target, seal=_SEAL)


def verify_package(descriptor: int, *, sha256: Sha256, packages: VerifiedPackageSet) -> VerifiedPackage:
    """Return the file behind ``descriptor``, which must be the package ``sha256`` of ``packages``.

    The evidence owns a descriptor of its own; the caller closes the one it gave.

    Raises:
        NotFoundError: the set names no such package.
        DigestMismatchError: the file holds something else.
        HostError: it cannot be read.
    """
    package = packages.listed(sha256)
    whole, size = hashlib.sha256(), 0
    try:
        while size <= package.size and (piece := _read(descriptor, size, _PIECE)):
            whole.update(piece)
            size += len(piece)
    except OSError as error:
        raise HostError(f"cannot read {package.pin}: {error.strerror}") from error
    if (size, whole.hexdigest()) != (package.size, package.sha256):
        raise _mismatch(package)
    return verify_kept_package(descriptor, sha256=sha256, packages=packages)


def verify_kept_package(
    descriptor: int,
    *,
    sha256: Sha256,
    packages: VerifiedPackageSet,
    told: Callable[[], None] | None = None,
) -> VerifiedPackage:
    """Return the file behind ``descriptor`` as a package of ``packages``, which it was when it was kept.

    Only its size is looked at here; every byte is compared before it is handed out, so a file that is something else
    makes an installation fail and nothing worse.

    Args:
        descriptor: the evidence gets one of its own.
        sha256: which package.
        packages: the set that has to name it.
        told: hears when the file turns out to be something else.

    Raises:
        NotFoundError: the set names no such package.
        DigestMismatchError: the file has another size.
        HostError: it cannot be looked at.
    """
    package = packages.listed(sha256)
    try:
        if os.fstat(descriptor).st_size != package.size:
            raise _mismatch(package)
        handle = io.FileIO(os.dup(descriptor), "rb")
    except OSError as error:
        raise HostError(f"cannot read {package.pin}: {error.strerror}") from error
    file = _File(handle=handle, package=package, told=told)
    return VerifiedPackage(package=package, packages=packages, _file=file, seal=_SEAL)


def verify_package_again(held: VerifiedPackage, *, packages: VerifiedPackageSet) -> VerifiedPackage:
    """Return the same file as evidence by a newer index; both share it, and closing either closes it.

    Nothing is read: whatever is handed out of the file is compared then, with the same digest.

    Raises:
        NotFoundError: the newer index does not list these bytes any more.
    """
    package = packages.listed(held.package.sha256)
    if package.size != held.package.size:
        raise _mismatch(package)
    return VerifiedPackage(package=package, packages=packages, _file=held._file, seal=_SEAL)  # noqa: SLF001


def _mismatch(package: IndexedPackage) -> DigestMismatchError:
    return DigestMismatchError(
        f"the file is not {package.pin} with sha256 {package.sha256[:16]}…",
        where=package.path,
        hint="fetch it again; if it repeats, treat the server as compromised",
        expected=package.sha256,
    )


def _read(descriptor: int, offset: int, count: int) -> bytes:
    """Return ``count`` bytes; fewer only at the end of the file."""
    data = b""
    while len(data) < count and (more := os.pread(descriptor, count - len(data), offset + len(data))):
        data += more
    return data
