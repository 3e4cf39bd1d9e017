"""The trust anchor (edge): the first root, configured by file and never learned from the network."""

from pathlib import Path
from typing import Final

from tuf.api.metadata import Root

from signing.errors import CouldNotVerifyError, NotFoundError
from signing.metadata import parse

_MAX_BYTES: Final = 512_000


def load_anchor(path: Path) -> bytes:
    """Return the bytes of the root metadata in the file ``path``.

    Raises:
        NotFoundError: there is no such file.
        CouldNotVerifyError: it cannot be read, or does not sign itself.
        FormatError: it is not root metadata.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no trust anchor at {path}",
            hint="get the first root from the repository's owner by a way you trust, not from the server",
        ) from error
    except OSError as error:
        raise CouldNotVerifyError(f"cannot read the trust anchor {path}: {error.strerror}") from error
    root = parse(data, Root, where="trust anchor")
    if not root.signed.get_verification_result("root", root.signed_bytes, root.signatures).verified:
        raise CouldNotVerifyError(
            f"the trust anchor {path} is not signed by its own keys", hint="get it again from its owner"
        )
    return data
