"""Key holders whose keys follow from their names: no disk, no passphrase, the same keys in every run."""

import functools
import hashlib

from nacl.signing import SigningKey

from signing.format.names import HolderName
from signing.keys import HeldKey
from signing.keystore import SealedKeySigner


@functools.cache
def person(name: str, holder: str | None = None) -> SealedKeySigner:
    """The signer that belongs to ``name``; ``holder`` is what the key calls its holder."""
    key = SigningKey(hashlib.sha256(b"test key of " + name.encode()).digest())
    held = HeldKey(holder=HolderName(holder or name), public=bytes(key.verify_key).hex())
    return SealedKeySigner(held, key)
