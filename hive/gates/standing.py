"""How a gate stands, from what was registered for it (pure).

    missing    nothing was ever registered
    valid      a document or test that was approved, has not ended, is not too old, and is still what it was
    waived     nothing valid, but a named person answers for that until a day
    expired    what was registered has ended
    revoked    it was taken back
    altered    the kept document is gone or is not the one that was registered
    unproven   a test of another program than the one that runs now

Only ``valid`` and ``waived`` open a gate. What is unknown is a no.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from hive.gates.required import Gate, Proof
from signing.format.digest import Sha256
from signing.format.moment import render_moment

# A waiver bridges a gap; it is not a way of working.
MAX_WAIVER: Final = timedelta(days=90)


class Kind(enum.StrEnum):
    """What an entry says of its gate."""

    EVIDENCE = "evidence"
    WAIVER = "waiver"
    REVOCATION = "revocation"


class State(enum.StrEnum):
    """How a gate stands; see the module."""

    MISSING = "missing"
    VALID = "valid"
    WAIVED = "waived"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ALTERED = "altered"
    UNPROVEN = "unproven"

    @property
    def opens(self) -> bool:
        """Whether a paying customer may pass."""
        return self in {State.VALID, State.WAIVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the register; lines are added, never changed.

    ``sha256`` is that of the document, None for waivers and revocations. ``subject`` is what a self-test was made
    with: the digest of the program. ``revokes`` is the number of the entry that a revocation takes back.
    """

    number: int
    gate: str
    kind: Kind
    title: str
    sha256: Sha256 | None
    location: str
    subject: str
    approver: str
    reason: str
    approved_at: datetime
    expires_at: datetime
    scope: str
    revokes: int | None

    @classmethod
    def blank(cls, gate: str, kind: Kind, *, approver: str, now: datetime) -> Self:
        """Return an entry of now that says nothing yet and ends tomorrow; the register gives it a number."""
        return cls(
            number=0,
            gate=gate,
            kind=kind,
            title="",
            sha256=None,
            location="",
            subject="",
            approver=approver,
            reason="",
            approved_at=now,
            expires_at=now + timedelta(days=1),
            scope="",
            revokes=None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry as ``--json`` and the audit log show it."""
        return {
            "number": self.number,
            "gate": self.gate,
            "kind": self.kind.value,
            "title": self.title,
            "sha256": self.sha256,
            "location": self.location,
            "subject": self.subject,
            "approver": self.approver,
            "reason": self.reason,
            "approved_at": render_moment(self.approved_at),
            "expires_at": render_moment(self.expires_at),
            "scope": self.scope,
            "revokes": self.revokes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one gate stands, and by which entry."""

    gate: Gate
    state: State
    entry: Entry | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "gate": self.gate.name,
            "title": self.gate.title,
            "state": self.state.value,
            "opens": self.state.opens,
            "entry": self.entry.to_json() if self.entry is not None else None,
        }


def stand(
    gate: Gate,
    entries: Sequence[Entry],
    *,
    intact: Callable[[Sha256], bool],
    program: str,
    now: datetime,
) -> Standing:
    """Return how ``gate`` stands at ``now``.

    Args:
        gate: the gate.
        entries: its entries, in the order of the register.
        intact: whether the kept document of that digest is there and has that digest.
        program: the digest of the program whose self-tests count.
        now: the moment.
    """
    revoked = {entry.revokes for entry in entries if entry.kind is Kind.REVOCATION}
    proofs = [entry for entry in entries if entry.kind is Kind.EVIDENCE]
    best = Standing(gate=gate, state=State.MISSING)
    if proofs:
        newest = proofs[-1]  # a later one supersedes: nobody passes by the document before the last
        state = _proof_state(
            gate, newest, revoked=newest.number in revoked, intact=intact, program=program, now=now
        )
        best = Standing(gate=gate, state=state, entry=newest)
    if best.state.opens or not gate.waivable:
        return best
    for entry in reversed(entries):
        if entry.kind is Kind.WAIVER and entry.number not in revoked and _counts(entry, MAX_WAIVER, now):
            return Standing(gate=gate, state=State.WAIVED, entry=entry)
    return best


def _proof_state(
    gate: Gate,
    entry: Entry,
    *,
    revoked: bool,
    intact: Callable[[Sha256], bool],
    program: str,
    now: datetime,
) -> State:
    if revoked:
        return State.REVOKED
    if not _counts(entry, gate.life, now):
        return State.EXPIRED
    if gate.proof is Proof.SELF_TEST and entry.subject != program:
        return State.UNPROVEN
    if entry.sha256 is None or not intact(entry.sha256):
        return State.ALTERED
    return State.VALID


def _counts(entry: Entry, life: timedelta, now: datetime) -> bool:
    return entry.approved_at <= now < min(entry.expires_at, entry.approved_at + life)
