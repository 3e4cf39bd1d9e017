"""Evidence about packages, as `signing.evidence` is about skills (edge).

    VerifiedPackageSet   the anchor vouches for this index of one ABI and channel, now
    VerifiedPackage      … and the file behind this handle is one of its packages, to the byte
    VerifiedAdvisories   the anchor vouches for this list of known vulnerabilities, now

A package is too large for the memory, so its evidence holds the handle that was read, never a path. And since bytes
behind a handle can change, `VerifiedPackage.stream` hashes once more what it hands out, and keeps the last piece
back until the digest is right: whoever reads to the end has read exactly the bytes that were verified.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import InitVar, dataclass
from types import TracebackType
from typing import Final, Self, final

from signing.errors import DigestMismatchError, HostError, NotFoundError, WrongSubjectError
from signing.evidence import check_target
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.pkg.vuxml import Advisories, parse_vuxml
from signing.sealed import unchangeable
from signing.trusted import VouchedTarget

_CHUNK: Final = 1 << 20


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

    @property
    def repo(self) -> PackageRepo:
        """Which repository this is."""
        return self.index.repo


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAdvisories(_Sealed):
    """The fresh list of known vulnerabilities."""

    advisories: Advisories
    target: VouchedTarget
    seal: InitVar[_Seal]


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPackage(_Sealed):
    """One package of a verified set, and the open file that holds it. A context manager; it closes the file."""

    package: IndexedPackage
    packages: VerifiedPackageSet
    seal: InitVar[_Seal]
    _descriptor: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; call it once."""
        os.close(self._descriptor)

    def stream(self) -> Iterator[bytes]:
        """Yield the bytes; the last piece only when all of them are those that were verified.

        Raises:
            DigestMismatchError: the file was changed since; what was yielded is not a whole package.
            HostError: it cannot be read.
        """
        yield from _checked(self._descriptor, self.package)


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
        DigestMismatchError, WrongSubjectError, FormatError: as for `verify_package_set`.
    """
    check_target(data, target)
    if target.path != ADVISORIES_PATH:
        raise WrongSubjectError("is not the list of vulnerabilities", where=target.path)
    return VerifiedAdvisories(advisories=parse_vuxml(data), target=target, seal=_SEAL)


def verify_package(descriptor: int, *, sha256: Sha256, packages: VerifiedPackageSet) -> VerifiedPackage:
    """Return the file behind ``descriptor``, which must be the package ``sha256`` of ``packages``.

    The evidence owns a descriptor of its own; the caller closes the one it gave.

    Raises:
        NotFoundError: the set names no such package.
        DigestMismatchError: the file holds something else.
        HostError: it cannot be read.
    """
    package = packages.index.by_sha256().get(sha256)
    if package is None:
        raise NotFoundError(
            f"{packages.repo} names no package with the digest {sha256[:16]}… any more",
            hint="it was withdrawn, or its grace period ended: draft and sign the profile again",
        )
    for _ in _checked(descriptor, package):
        pass
    return VerifiedPackage(package=package, packages=packages, _descriptor=os.dup(descriptor), seal=_SEAL)


def _checked(descriptor: int, package: IndexedPackage) -> Iterator[bytes]:
    digest, offset, held = hashlib.sha256(), 0, b""
    while piece := _read(descriptor, offset, package):
        digest.update(piece)
        offset += len(piece)
        if offset > package.size:
            break
        if held:
            yield held
        held = piece
    if offset != package.size or digest.hexdigest() != package.sha256:
        raise DigestMismatchError(
            f"the file is not {package.pin} with sha256 {package.sha256[:16]}…",
            where=package.path,
            hint="fetch it again; if it repeats, treat the server as compromised",
            expected=package.sha256,
        )
    if held:
        yield held


def _read(descriptor: int, offset: int, package: IndexedPackage) -> bytes:
    try:
        return os.pread(descriptor, _CHUNK, offset)
    except OSError as error:
        raise HostError(f"cannot read {package.pin}: {error.strerror}") from error
