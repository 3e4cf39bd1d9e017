"""What a store of content-addressed bytes offers. Nothing mutable is ever kept in one.

Storing the same bytes twice is harmless, so no backend needs conditional writes; conditional writes of object
stores cannot be trusted as an arbiter (reference/storage-serving-performance §1.3).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from signing.errors import HostError
from signing.format.digest import Sha256


class EndlessListError(HostError):
    """The list of a store's blobs did not come to an end in time."""


class Blobs(Protocol):
    """Bytes by their digest."""

    def store(self, data: bytes) -> Sha256:
        """Keep ``data``, durable on return, and return its digest."""
        ...

    def load(self, digest: Sha256) -> bytes:
        """Return the bytes with ``digest``, compared with it.

        Raises:
            NotFoundError: they are not here.
            DigestMismatchError: what is here is damaged.
        """
        ...


class LargeBlobs(Blobs, Protocol):
    """Blobs that need not fit into the memory: packages."""

    def size_of(self, digest: Sha256) -> int | None:
        """Return how many bytes the blob has; None when it is not here."""
        ...

    def open(self, digest: Sha256) -> BinaryIO:
        """Open a blob that is too large for the memory; what is read is NOT compared with its digest.

        Raises:
            NotFoundError: it is not here.
        """
        ...

    def receive(self, pieces: Iterable[bytes], *, digest: Sha256, size: int) -> None:
        """Keep what comes in pieces, durable on return; what is here already is not read at all.

        Raises:
            DigestMismatchError: it is longer, shorter or other than announced; nothing is kept.
        """
        ...

    def remove(self, digest: Sha256) -> None:
        """Forget a blob, if it is here; only for what nothing names any more.

        Raises:
            HostError: it cannot be removed.
        """
        ...

    def clock(self) -> datetime:
        """Return the present by the clock that dates the blobs.

        Raises:
            HostError: the store cannot be asked.
        """
        ...

    def untouched(self, *, since: datetime) -> Iterator[tuple[Sha256, int]]:
        """Yield digest and size of the blobs that came before ``since``, and have not been stored again after it.

        Raises:
            EndlessListError: the list goes on for longer than anybody's blobs can take.
            HostError: the store cannot be asked to its end.
        """
        ...

    def unfinished(self, *, since: datetime) -> Iterator[Path]:
        """Yield what processes that were killed before ``since`` left half written."""
        ...

    def remove_untouched(self, digest: Sha256, *, since: datetime) -> bool:
        """Forget a blob, unless it was stored again after ``since``, or is just now; return whether it is gone.

        Raises:
            HostError: it cannot be removed.
        """
        ...

    def put_at(self, digest: Sha256, place: Path) -> None:
        """Make ``place`` a file with the bytes of the blob, read-only; what stands there already is left alone.

        Raises:
            NotFoundError: the blob is not here. HostError: it cannot be written.
        """
        ...
