"""The host's key for tokens (edge)."""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from hive.agents.tokens import KEY_BYTES
from hive.private_files import read_secret, write_secret
from signing.errors import ConflictError, HostError, KeyAccessError

KEY_NAME: Final = "agent-token.key"


def load_token_key(state: Path) -> bytes:
    """Return the host's key for tokens, made when there is none.

    Raises:
        KeyAccessError: it is not safe, or damaged. HostError: it cannot be made.
    """
    path = state / KEY_NAME
    if not path.exists():
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make {state}: {error.strerror}") from error
        # Two that make it at once agree on the first: a file is never put over another.
        with contextlib.suppress(ConflictError):
            write_secret(path, secrets.token_bytes(KEY_BYTES))
    key = read_secret(path)
    if len(key) != KEY_BYTES:
        raise KeyAccessError(f"{path} is damaged", hint="restore it from a backup")
    return key
