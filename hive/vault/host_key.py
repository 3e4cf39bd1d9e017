"""This host's key for digests of what it provisioned (edge): STATE/secrets.key, 32 random bytes, 0600."""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from hive.private_files import read_secret, write_secret
from signing.errors import ConflictError, HostError, KeyAccessError

KEY_BYTES: Final = 32
KEY_NAME: Final = "secrets.key"


def load_or_make_key(path: Path) -> bytes:
    """Return the key at ``path``, made when there is none.

    Raises:
        KeyAccessError: it is not ours alone, or damaged. HostError: it cannot be made.
    """
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make {path.parent}: {error.strerror}") from error
        with contextlib.suppress(ConflictError):  # two that make it at once agree on the first
            write_secret(path, secrets.token_bytes(KEY_BYTES))
    key = read_secret(path)
    if len(key) != KEY_BYTES:
        raise KeyAccessError(f"{path} is damaged", hint="restore it from a backup")
    return key
