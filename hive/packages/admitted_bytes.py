"""What a host is given of a package: the bytes that were admitted, and no others.

A host could count wrongly, or be handed a package beside the admission of another one. So it gets one thing, which
holds both and is made of a `PackageAdmission` alone: the way from the open file to the host has no second entrance.
"""

import hashlib
from typing import Self, final

from hive.admission import PackageAdmission
from signing.format.digest import Sha256, parse_sha256


@final
class AdmittedBytes:
    """The bytes of an admitted package, counted and hashed while a host takes them; once, from front to back.

    Each piece was compared with what was verified before it comes out (`signing.package_evidence`).
    """

    __slots__ = ("_digest", "_pieces", "_size", "admission")

    def __init__(self, admission: PackageAdmission) -> None:
        # mypy says so too; but whoever is handed a look-alike at run time would install anything.
        if type(admission) is not PackageAdmission:
            raise TypeError(f"{type(admission).__name__} is not the admission of a package")
        self.admission = admission
        self._pieces = admission.package.stream()
        self._digest, self._size = hashlib.sha256(), 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self._digest.update(piece)
        self._size += len(piece)
        return piece

    @property
    def size(self) -> int:
        """How many bytes were taken so far."""
        return self._size

    @property
    def sha256(self) -> Sha256:
        """The digest of all that was taken so far."""
        return parse_sha256(self._digest.hexdigest())


def check_admitted(given: AdmittedBytes) -> None:
    """Return None when ``given`` is what a host may install; every host asks this first.

    Raises:
        TypeError: it is something else that yields bytes.
    """
    if type(given) is not AdmittedBytes:
        raise TypeError(f"{type(given).__name__} is not AdmittedBytes: nobody admitted it")
