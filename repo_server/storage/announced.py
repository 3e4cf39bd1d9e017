"""Bytes that come with a digest and a size: believed at their end, when they are those."""

import hashlib
from collections.abc import Iterable, Iterator

from signing.errors import DigestMismatchError
from signing.format.digest import Sha256


def announced(pieces: Iterable[bytes], digest: Sha256, size: int) -> Iterator[bytes]:
    """Yield ``pieces``; what is not as announced is an error before the last of them is believed.

    Raises:
        DigestMismatchError: they are longer, shorter or others.
    """
    found, left = hashlib.sha256(), size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        found.update(piece)
        yield piece
    if left != 0 or found.hexdigest() != digest:
        raise DigestMismatchError(
            f"what came is not {digest[:16]}… with {size} bytes", hint="send it again; nothing of it was kept"
        )
