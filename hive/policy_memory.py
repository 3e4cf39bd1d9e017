"""What a host remembers of its signed policy, in its database: the highest serial, and that one was seen at all.

From the first signed policy on, an unsigned one is refused, whatever the settings say or leave out, until an operator
allows it in a recorded act (``hive policy allow-unsigned``). Serials are remembered beyond that. Hosts that share a database
have a serial each; what one of them demands, the others do too, and so does this one under another name.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.policy_tables import SignedPolicyRow
from hive.policy import Policy
from signing.errors import CouldNotVerifyError, NotFoundError, RollbackError
from signing.format.moment import render_moment
from signing.policy_evidence import VerifiedPolicyFile

ACCEPTED: Final = "policy.accepted"
UNSIGNED_ALLOWED: Final = "policy.unsigned-allowed"


def load(session: Session, host: str) -> SignedPolicyRow | None:
    """Return the policy with the highest serial that was verified on ``host``; None before the first."""
    return session.get(SignedPolicyRow, host)


def check_unsigned(session: Session, host: str) -> None:
    """Return None when ``host`` may go by a policy that nobody signed, or by none.

    Raises:
        CouldNotVerifyError: a signed one was seen, and nobody allowed an unsigned one here since.
    """
    row = load(session, host) or _demanded_elsewhere(session)
    if row is not None and row.demanded:
        raise CouldNotVerifyError(
            f"{row.host} has gone by a signed policy (serial {row.serial}), and the settings of {host} name no signatures",
            hint="set policy and policy_signatures; or, for good reason: hive policy allow-unsigned --reason TEXT",
        )


def _demanded_elsewhere(session: Session) -> SignedPolicyRow | None:
    statement = (
        select(SignedPolicyRow).where(SignedPolicyRow.demanded).order_by(SignedPolicyRow.host).limit(1)
    )
    return session.scalars(statement).first()


def check_newer(session: Session, host: str, verified: VerifiedPolicyFile) -> None:
    """Return None when ``host`` has seen no higher serial, and no other policy under this one.

    Raises:
        RollbackError: otherwise.
    """
    row, said = load(session, host), verified.said
    if row is None:
        return
    if said.serial < row.serial:
        raise RollbackError(
            f"the policy has serial {said.serial}, and this host has seen serial {row.serial}",
            hint="bring the newest signed policy; to go back to this one, sign it with a higher serial",
            serial=said.serial,
            seen=row.serial,
        )
    if said.serial == row.serial and verified.statement_sha256 != row.statement_sha256:
        raise RollbackError(
            f"this host has seen another policy under serial {said.serial}",
            hint="the operators signed two: sign the right one with a higher serial",
            serial=said.serial,
            seen=row.serial,
        )


def remember(
    session: Session, host: str, verified: VerifiedPolicyFile, policy: Policy, *, now: datetime
) -> None:
    """Remember ``verified``, whose content is ``policy``; a new one is recorded, and from now on one is demanded.

    Raises:
        RollbackError: see `check_newer`.
        CouldNotVerifyError: this host's clock was set back, so that nothing can be said of ends.
    """
    audit.check_clock(session, now=now)
    row, said = session.get(SignedPolicyRow, host, with_for_update=True), verified.said
    check_newer(session, host, verified)
    known = row is not None and row.demanded and row.statement_sha256 == verified.statement_sha256
    if row is None:
        row = SignedPolicyRow(host=host)
        session.add(row)
    row.demanded, row.serial, row.statement_sha256 = True, said.serial, verified.statement_sha256
    row.file_sha256, row.expires_at = said.sha256, said.expires_at
    row.signed_by, row.verified_at = "\n".join(verified.signers), now
    if not known:
        facts = {"host": host, **facts_of(verified, policy)}
        audit.append(session, event=ACCEPTED, facts=facts, now=now)
    session.flush()


def allow_unsigned(session: Session, host: str, *, reason: str, now: datetime) -> int:
    """Let ``host`` go by an unsigned policy again, on record; return the serial up to which signed ones were seen.

    Raises:
        NotFoundError: it does already.
    """
    row = session.get(SignedPolicyRow, host, with_for_update=True)
    if not (row or _demanded_elsewhere(session)) or (row is not None and not row.demanded):
        raise NotFoundError("this host demands no signed policy", hint="hive policy show")
    if row is None:  # what it is freed from was seen by another, or under another name
        row = SignedPolicyRow(
            host=host,
            serial=0,
            statement_sha256="",
            file_sha256="",
            signed_by="",
            expires_at=now,
            verified_at=now,
        )
        session.add(row)
    row.demanded = False
    facts = {"host": host, "reason": reason, "serial": row.serial}
    audit.append(session, event=UNSIGNED_ALLOWED, facts=facts, now=now)
    session.flush()
    return row.serial


def facts_of(verified: VerifiedPolicyFile, policy: Policy) -> dict[str, Any]:
    """Return what records and answers say of a signed policy."""
    return {
        "policy_file_sha256": verified.said.sha256,
        "policy_sha256": policy.sha256,
        "serial": verified.said.serial,
        "for": verified.said.host,
        "signed_by": list(verified.signers),
        "signer_keyids": list(verified.signer_keyids),
        "threshold": verified.threshold,
        "expires_at": render_moment(verified.said.expires_at),
    }
