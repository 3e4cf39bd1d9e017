"""Signing a statement with an OIDC identity, by sigstore, with a thread to end it in time (edge).

The identity's token comes from the caller or from the surroundings of a CI job. It is a secret for some minutes:
it stands in no argument list, no error and no log. Services and trust come from a configuration that is given,
or are those of the public-good instance, which are then fetched by TUF.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from repo_server.curation.textsafe import excerpt
from signing.errors import CouldNotVerifyError, FormatError, KeyAccessError, SkillRepoError, TransportError
from signing.format.statement import Statement

T = TypeVar("T")

PATIENCE: Final = 120.0
_ASK_CI: Final = (
    "in CI, allow the job to ask for an identity token; elsewhere give --identity-token-file or "
    "--identity-token-fd"
)


def sign_statement(
    statement: Statement, *, token: str | None, trust_config: bytes | None, patience: float = PATIENCE
) -> bytes:
    """Return ``statement`` signed, as a Sigstore bundle; not verified yet.

    Args:
        statement: what to sign.
        token: the identity token; None: look for one in the surroundings.
        trust_config: a client trust configuration (JSON); None: the public-good instance.
        patience: how many seconds all of it may take. sigstore's own requests would wait for ever.

    Raises:
        KeyAccessError: there is no token, or it is not usable.
        FormatError: the trust configuration is none.
        TransportError: a service is away, too slow, refuses, or answers nonsense.
    """
    return _in_time(lambda: _sign(statement, token, trust_config), patience)


def _sign(statement: Statement, token: str | None, trust_config: bytes | None) -> bytes:
    try:
        from sigstore.dsse import Statement as Signable  # noqa: PLC0415 - half a second, for those who attest
        from sigstore.models import ClientTrustConfig  # noqa: PLC0415
        from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken, detect_credential  # noqa: PLC0415
        from sigstore.sign import SigningContext  # noqa: PLC0415
    except ImportError as error:
        raise CouldNotVerifyError(
            "sigstore is not installed here", hint="install the server extra"
        ) from error
    secret = token
    try:
        secret = secret or detect_credential() or _no_token()
        identity = IdentityToken(secret)
        if trust_config is None:
            config = ClientTrustConfig.production()
        else:
            config = _read_config(ClientTrustConfig.from_json, trust_config)
        with SigningContext.from_trust_config(config).signer(identity) as signer:
            return signer.sign_dsse(Signable(statement.render())).to_json().encode()
    except SkillRepoError:
        raise
    except (IdentityError, ExpiredIdentity) as error:
        raise KeyAccessError(
            f"the identity token cannot be used: {_without(secret, error)}", hint=_ASK_CI
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever the services make of it, nothing was signed
        # Not "from error": the chain would carry the request, and the request carries the token.
        raise TransportError(
            f"sigstore could not sign: {_without(secret, error)}",
            hint="look at the services of the trust configuration; nothing was stored",
            raised=type(error).__name__,
        ) from None


def _no_token() -> NoReturn:
    raise KeyAccessError("no identity token, neither given nor in the surroundings", hint=_ASK_CI)


def _read_config(read: Callable[[str], T], data: bytes) -> T:
    try:
        return read(data.decode())
    except Exception as error:
        raise FormatError(
            f"not a client trust configuration ({type(error).__name__})", where="trust configuration"
        ) from error


def _without(secret: str | None, error: Exception) -> str:
    text = str(error) or type(error).__name__
    return excerpt(text.replace(secret, "…") if secret else text)


@dataclass
class _Outcome:
    """What the thread leaves behind."""

    value: bytes | None = None
    error: BaseException | None = None


def _in_time(work: Callable[[], bytes], patience: float) -> bytes:
    """Return what ``work`` returns, or give up; a daemon thread does not keep the process from ending."""
    outcome = _Outcome()

    def run() -> None:
        try:
            outcome.value = work()
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
            outcome.error = error

    thread = threading.Thread(target=run, name="sigstore", daemon=True)
    thread.start()
    thread.join(patience)
    if outcome.error is not None:
        raise outcome.error
    if outcome.value is None:
        raise TransportError(
            f"sigstore's services did not answer within {patience:g} seconds", hint="try again later"
        )
    return outcome.value
