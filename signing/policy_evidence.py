"""Evidence that the policy file of a host is what its operators signed.

    VerifiedPolicyFile     as many operators as the role ``profiles`` demands say, now: these bytes, this host, this serial

It has one maker, `verify_policy_file`. That its serial is not lower than one seen before is the host's to remember.
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from typing import Final, final

from securesystemslib.signer import Key

from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    ThresholdError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.host_policy import EVERY_HOST, MAX_ENVELOPE_BYTES, MAX_POLICY_BYTES, PolicyStatement
from signing.keys import envelope_signers, holder_of
from signing.roles import PROFILES
from signing.sealed import unchangeable
from signing.trusted import TrustedMetadata

# How far apart the clocks of an operator and of a host may be.
_CLOCK_SLACK: Final = timedelta(minutes=5)
_AGAIN: Final = "sign the file again: skillrepo host-policy sign"
_WHERE: Final = "policy signatures"


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPolicyFile:
    """The bytes of a policy file, which enough operators signed for this host, and who they are."""

    data: bytes
    said: PolicyStatement
    statement_sha256: Sha256
    signers: tuple[str, ...]
    signer_keyids: tuple[str, ...]
    threshold: int
    checked_at: datetime
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("VerifiedPolicyFile comes from verify_policy_file()")


def verify_policy_file(
    data: bytes, signatures: bytes, *, host: str, trusted: TrustedMetadata
) -> VerifiedPolicyFile:
    """Return the policy file ``data``, for the host ``host``, as the operators signed it.

    Args:
        data: the file.
        signatures: the envelope beside it.
        host: what this machine calls itself.
        trusted: fresh metadata; it says who the operators are, and what moment it is.

    Raises:
        FormatError: not such an envelope, or one key signs in it twice.
        BadSignatureError: no operator signed, or a signature does not fit.
        ThresholdError: too few operators signed.
        WrongSubjectError: about something else, or for another host.
        DigestMismatchError: about another file.
        ExpiredError: its time is over. CouldNotVerifyError: its time has not come, or nobody is an operator.
    """
    if len(data) > MAX_POLICY_BYTES or len(signatures) > MAX_ENVELOPE_BYTES:
        raise FormatError("too large for a policy and its signatures", where=_WHERE)
    # 1: whose word it is. Nothing in the payload is looked at before.
    envelope = Envelope.parse(signatures, where=_WHERE)
    signers, threshold = _signers(envelope, trusted)
    # 2: what they say, for whom, and for how long.
    said = PolicyStatement.of(envelope, where=_WHERE)
    if said.host not in {EVERY_HOST, host}:
        raise WrongSubjectError(
            f"is the policy of {said.host}, and this host is {host}",
            where=_WHERE,
            hint=f"bring this host's own file, or sign it for this host: skillrepo host-policy sign --host {host}",
        )
    if trusted.checked_at >= said.expires_at:
        raise ExpiredError(
            f"the policy with serial {said.serial} ended at {said.expires_at:%Y-%m-%d %H:%M} UTC",
            hint=f"{_AGAIN}, with a higher serial",
            serial=said.serial,
        )
    if trusted.checked_at + _CLOCK_SLACK < said.issued_at:
        raise CouldNotVerifyError(
            f"the policy with serial {said.serial} begins at {said.issued_at:%Y-%m-%d %H:%M} UTC",
            hint="check this host's clock, and the operators'",
        )
    # 3: these bytes.
    if sha256_of(data) != said.sha256:
        raise DigestMismatchError(
            f"the policy file is not the one that was signed under serial {said.serial}",
            hint=f"bring the signed file back; or if the change was meant, {_AGAIN}, with a higher serial",
        )
    return VerifiedPolicyFile(
        data=bytes(data),
        said=said,
        statement_sha256=sha256_of(envelope.payload),
        signers=tuple(sorted(holder_of(key) for key in signers)),
        signer_keyids=tuple(sorted(key.keyid for key in signers)),
        threshold=threshold,
        checked_at=trusted.checked_at,
        seal=_SEAL,
    )


def operators_of(trusted: TrustedMetadata) -> tuple[tuple[Key, ...], int]:
    """Return the operators' keys, and how many of them have to sign.

    Raises:
        CouldNotVerifyError: ``targets`` appoints none.
    """
    keys = trusted.holders(PROFILES)
    delegations = trusted.targets.delegations
    role = delegations.roles.get(PROFILES) if delegations is not None and delegations.roles else None
    if role is None or role.threshold < 1 or not keys:
        raise CouldNotVerifyError("the repository appoints no operators")
    return keys, role.threshold


def _signers(envelope: Envelope, trusted: TrustedMetadata) -> tuple[Sequence[Key], int]:
    keys, threshold = operators_of(trusted)
    signers = envelope_signers(envelope, keys)
    if len(signers) >= threshold:
        return signers, threshold
    good, named = {key.keyid for key in signers}, {item.keyid for item in envelope.signatures}
    if broken := [key for key in keys if key.keyid in named - good]:
        raise BadSignatureError(
            f"the signature of {holder_of(broken[0])} does not fit what is signed",
            where=_WHERE,
            hint=f"it was altered; {_AGAIN}",
        )
    if named and not signers:
        raise BadSignatureError(
            "who signed it is no operator of this repository",
            where=_WHERE,
            hint=f"those who hold a key of the role {PROFILES} sign policies",
        )
    missing = tuple(sorted(holder_of(key) for key in keys if key.keyid not in good))
    raise ThresholdError(PROFILES, signed=len(signers), threshold=threshold, missing=missing)
