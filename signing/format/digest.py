"""Digests: sha256, written as 64 lower-case hexadecimal digits and no other way.

>>> sha256_of(b"")
'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
"""

import hashlib
import re
from typing import NewType

from signing.errors import DigestMismatchError, FormatError

Sha256 = NewType("Sha256", str)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def sha256_of(data: bytes) -> Sha256:
    """Return the digest of ``data``."""
    return Sha256(hashlib.sha256(data).hexdigest())


def parse_sha256(text: object, *, where: str = "sha256") -> Sha256:
    """Return ``text`` as a digest.

    Raises:
        FormatError: ``text`` is not 64 lower-case hexadecimal digits.
    """
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise FormatError("not a sha256 digest (64 lower-case hexadecimal digits)", where=where)
    return Sha256(text)


def check_sha256(data: bytes, expected: Sha256, *, where: str) -> None:
    """Return None when ``data`` has the digest ``expected``.

    Raises:
        DigestMismatchError: it has another one.
    """
    found = sha256_of(data)
    if found != expected:
        raise DigestMismatchError(
            f"bytes have sha256 {found[:16]}…, vouched for is {expected[:16]}…",
            where=where,
            hint="do not use these bytes; fetch again, and if it repeats, treat the server as compromised",
            expected=expected,
            found=found,
        )
