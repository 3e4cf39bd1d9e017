"""What a host is given of a package: the bytes that were admitted, and no others.

A host could count wrongly, or be handed a package beside the admission of another one. So it gets one thing, which
holds both and is made of a `PackageAdmission` alone: the way from the open file to the host has no second entrance.
"""

from typing import Self, final

from hive.admission import PackageAdmission


@final
class AdmittedBytes:
    """The bytes of an admitted package, counted while a host takes them; once, from front to back.

    Each piece was compared with what is vouched for before it comes out (`signing.package_evidence`): so who has taken as
    many as the package has, has taken the package, and none of them is hashed a second time.
    """

    __slots__ = ("_pieces", "_size", "admission")

    def __init__(self, admission: PackageAdmission) -> None:
        # mypy says so too; but whoever is handed a look-alike at run time would install anything.
        if type(admission) is not PackageAdmission:
            raise TypeError(f"{type(admission).__name__} is not the admission of a package")
        self.admission = admission
        self._pieces = admission.package.stream()
        self._size = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self._size += len(piece)
        return piece

    @property
    def size(self) -> int:
        """How many bytes were taken so far."""
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether all of the package was taken."""
        return self._size == self.admission.package.package.size


def check_admitted(given: AdmittedBytes) -> None:
    """Return None when ``given`` is what a host may install; every host asks this first.

    Raises:
        TypeError: it is something else that yields bytes.
    """
    if type(given) is not AdmittedBytes:
        raise TypeError(f"{type(given).__name__} is not AdmittedBytes: nobody admitted it")
