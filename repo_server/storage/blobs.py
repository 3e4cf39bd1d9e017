"""What a store of content-addressed bytes offers. Nothing mutable is ever kept in one.

Storing the same bytes twice is harmless, so no backend needs conditional writes; conditional writes of object
stores cannot be trusted as an arbiter (reference/storage-serving-performance §1.3).
"""

from typing import Protocol

from signing.format.digest import Sha256


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
