"""Signing the policy of a jail host: whose word counts, and what exactly is signed.

It is not published: operators bring file and signatures to their hosts, and a host checks both against the role
``profiles`` of the repository that it trusts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from securesystemslib.signer import Key
from sqlalchemy.orm import Session

from repo_server.publishing.vouched import vouched_delegator
from signing.errors import ConflictError, ExpiredError, NotEntitledError, UsageError
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope
from signing.format.host_policy import PolicyStatement
from signing.keys import envelope_signers, holder_of
from signing.keystore import SealedKeySigner
from signing.roles import PROFILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Who may sign, and how many of them have to."""

    keys: Sequence[Key]
    threshold: int

    @classmethod
    def of(cls, session: Session, *, anchor: bytes) -> "Operators":
        """Return those whom the repository appoints, checked from the trust anchor.

        Raises:
            BadSignatureError: what appoints them is not what its holders signed.
        """
        delegator = vouched_delegator(session, PROFILES, anchor=anchor)
        role = delegator.get_delegated_role(PROFILES)
        return cls(keys=tuple(delegator.get_key(keyid) for keyid in role.keyids), threshold=role.threshold)

    def signed(self, envelope: Envelope) -> list[str]:
        """Return the names of those who signed ``envelope`` correctly."""
        return sorted(holder_of(key) for key in envelope_signers(envelope, self.keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says about the statement; None is not said."""

    serial: int | None
    host: str | None
    life: timedelta | None


def plan_envelope(data: bytes, before: Envelope | None, wanted: Wanted, *, now: datetime) -> Envelope:
    """Return the envelope to sign for the policy file ``data``: the one that others began, or a new one.

    Raises:
        UsageError: a new one needs a serial and a host.
        ConflictError: the one from before says something else, and no higher serial is given.
        ExpiredError: the one from before has ended.
        WrongSubjectError, FormatError: the one from before is none; see `PolicyStatement.of`.
    """
    digest = sha256_of(data)
    if before is not None:
        said = PolicyStatement.of(before)
        if wanted.serial is None or wanted.serial == said.serial:
            _check_same(said, digest, wanted, now=now)
            return before
        if wanted.serial < said.serial:
            raise ConflictError(
                f"serial {said.serial} was signed already, and hosts take no lower one",
                hint=f"--serial {said.serial + 1}",
            )
    if wanted.serial is None or wanted.host is None or wanted.life is None:
        raise UsageError(
            "a policy that nobody has signed yet needs a serial, a host and an end",
            hint="--serial N --host NAME --days 90, where NAME is what hostname says there, or * for every host",
        )
    issued = now.replace(microsecond=0)
    statement = PolicyStatement(
        sha256=digest,
        host=wanted.host,
        serial=wanted.serial,
        issued_at=issued,
        expires_at=issued + wanted.life,
    )
    return statement.envelope()


def sign_envelope(envelope: Envelope, signer: SealedKeySigner, operators: Operators) -> Envelope:
    """Return ``envelope`` with the signature of ``signer``.

    Raises:
        NotEntitledError: the key is not an operator's.
    """
    if signer.public_key.keyid not in {key.keyid for key in operators.keys}:
        raise NotEntitledError(
            f"{signer.held.holder} is no operator of this repository",
            hint=f"operators are {', '.join(sorted(holder_of(key) for key in operators.keys))}",
        )
    return signer.sign_envelope(envelope)


def _check_same(said: PolicyStatement, digest: str, wanted: Wanted, *, now: datetime) -> None:
    if said.sha256 != digest:
        raise ConflictError(
            f"the signatures with serial {said.serial} are about another file",
            hint=f"a changed policy is a new one: --serial {said.serial + 1} --host {said.host} --days 90",
        )
    if wanted.host not in {None, said.host}:
        raise ConflictError(
            f"the signatures with serial {said.serial} are for {said.host}",
            hint="another --serial, or no --host",
        )
    if wanted.life not in {None, said.expires_at - said.issued_at}:
        raise ConflictError(
            f"the signatures with serial {said.serial} end at {said.expires_at:%Y-%m-%d %H:%M} UTC",
            hint="another --serial, or no --days",
        )
    if now >= said.expires_at:
        raise ExpiredError(
            f"the policy with serial {said.serial} ended at {said.expires_at:%Y-%m-%d %H:%M} UTC",
            hint=f"--serial {said.serial + 1} --host {said.host} --days 90",
        )
