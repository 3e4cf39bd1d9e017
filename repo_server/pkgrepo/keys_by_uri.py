"""Keys in a security module or a key service, by the signers of securesystemslib (edge).

    hsm:2?label=pkg-14-latest     PKCS#11, slot and label; the library by PYKCS11LIB
    awskms:…  gcpkms:…  azurekms:…

The certificate is kept beside the publisher and pinned: what comes back is used only if it verifies under it. The
libraries for these signers are not among our dependencies; where one is missing, the error names it.
"""

from collections.abc import Callable
from typing import Final, final

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import Signer, SSlibKey

from repo_server.pkgrepo.certificates import Certificate
from repo_server.pkgrepo.keys import VerifiedSigner
from repo_server.pkgrepo.public_keys import KeyKind
from signing.errors import KeyAccessError, UsageError

SCHEMES: Final = ("awskms", "azurekms", "gcpkms", "hsm")


def is_key_uri(text: str) -> bool:
    """Return whether ``text`` names a key in a module or a service, and not a file."""
    scheme, colon, _ = text.partition(":")
    return bool(colon) and scheme in SCHEMES


@final
class UriSigner(VerifiedSigner):
    """A key that never leaves where it was made."""

    def __init__(self, uri: str, certificate: Certificate, *, secret: Callable[[str], str]) -> None:
        """Connect to the key named by ``uri``; ``secret`` is asked for a PIN.

        Raises:
            UsageError: no scheme that we use. KeyAccessError: its library is missing, or the key is not to be had.
        """
        super().__init__(certificate)
        if not is_key_uri(uri):
            raise UsageError("not the URI of a key", hint=f"one of {', '.join(SCHEMES)}:…")
        self._scheme: Final = uri.partition(":")[0]
        scheme = "rsa-pkcs1v15-sha256" if certificate.kind is KeyKind.RSA else None
        try:
            key = SSlibKey.from_crypto(certificate.public, scheme=scheme)
            self._signer: Final = Signer.from_priv_key_uri(uri, key, secret)
        except UnsupportedLibraryError as error:
            raise KeyAccessError(
                f"keys by {self._scheme}: {error}", hint=f"pip install 'securesystemslib[{self._scheme}]'"
            ) from error
        except Exception as error:  # noqa: BLE001 - each of the four libraries has errors of its own
            raise self._refused(error) from None

    def _sign(self, message: bytes) -> bytes:
        try:
            return bytes.fromhex(self._signer.sign(message).signature)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> KeyAccessError:
        # Only the kind of error: what such a library says can quote a PIN or a session.
        return KeyAccessError(
            f"the key by {self._scheme} cannot be used: {type(error).__name__}",
            hint="try it with the tools of that module or service first",
        )
