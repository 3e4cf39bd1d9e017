"""One withdrawal: what is not to be used any more, how far that goes, who said so, and whether it was lifted.

    {"at":"2026-11-22T12:00:00Z","by":"alice","kept_by":[],"lifted":null,"reason":"leaks the query",
     "scope":{"name":"web-search","version":"1.2.0"},"severity":"high","state":"revoked"}

    state      yanked        no new use; the profiles in ``kept_by`` pinned it before, and go on
               quarantined   no use while it is examined
               revoked       nowhere, also where it is installed; with a severity
    scope      what it is about (`signing.format.scope`)

An entry is never changed. Its id is the sha256 of all of it but ``lifted``: an envelope around a statement about
that id (`signing.format.reinstatement`). One curator withdraws; a reinstatement counts with the signatures of as
many as publishing needs (`signing.withdrawals`).
"""

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import HolderName, Pin, parse_holder_name
from signing.format.scope import MAX_NAMED, Scope

MAX_REASON = 2_000


class Withdrawn(enum.StrEnum):
    """How far a withdrawal goes; the later, the further."""

    YANKED = "yanked"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"

    @property
    def gravity(self) -> int:
        """A number that grows with how far it goes."""
        return list(Withdrawn).index(self)


class Harm(enum.StrEnum):
    """How bad it is to go on using something revoked (``severity`` in the list)."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class NamedProfile:
    """A profile by its name and digest."""

    pin: Pin
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the profile as it stands in ``kept_by``."""
        return {"profile": str(self.pin), "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the profile written as ``value``."""
        fields = Fields.of(value, where=where)
        profile = cls(
            pin=Pin.parse(fields.take("profile"), where=fields.place("profile")),
            sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")),
        )
        fields.done()
        return profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One entry of the list. ``lifted`` is only a request until it is verified."""

    state: Withdrawn
    scope: Scope
    severity: Harm | None
    reason: str
    by: HolderName
    at: datetime
    kept_by: tuple[NamedProfile, ...] = ()
    lifted: Envelope | None = None

    def __post_init__(self) -> None:
        if (self.severity is None) is (self.state is Withdrawn.REVOKED):
            raise FormatError("what is revoked has a severity, and nothing else has", where="severity")
        if self.kept_by and self.state is not Withdrawn.YANKED:
            raise FormatError("only what is yanked is kept by anyone", where="kept_by")
        if list(self.kept_by) != sorted(set(self.kept_by)):
            raise FormatError("not sorted, or one profile appears twice", where="kept_by")

    @property
    def id(self) -> Sha256:
        """What names this entry: the digest of what it says, whether it was lifted or not."""
        return sha256_of(canonical(self._said()))

    def keeps(self, profile_sha256: Sha256) -> bool:
        """Return whether the profile of this digest pinned it before and may go on."""
        return any(profile.sha256 == profile_sha256 for profile in self.kept_by)

    def with_lifting(self, envelope: Envelope) -> "Withdrawal":
        """Return the entry with a (perhaps not yet sufficient) reinstatement."""
        return replace(self, lifted=envelope)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the list."""
        lifted = parse_canonical(self.lifted.render()) if self.lifted is not None else None
        return {**self._said(), "lifted": lifted}

    def _said(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "scope": self.scope.to_json(),
            "severity": self.severity.value if self.severity is not None else None,
            "reason": self.reason,
            "by": self.by,
            "at": render_moment(self.at),
            "kept_by": [profile.to_json() for profile in self.kept_by],
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the entry written as ``value``."""
        fields = Fields.of(value, where=where)
        state = fields.text("state", max_length=20)
        if state not in {item.value for item in Withdrawn}:
            raise FormatError("must be yanked, quarantined or revoked", where=fields.place("state"))
        entry = cls(
            state=Withdrawn(state),
            scope=Scope.from_json(fields.take("scope"), fields.place("scope")),
            severity=fields.optional("severity", lambda key: _harm(fields, key)),
            reason=fields.text("reason", max_length=MAX_REASON),
            by=parse_holder_name(fields.take("by"), where=fields.place("by")),
            at=parse_moment(fields.take("at"), where=fields.place("at")),
            kept_by=fields.items("kept_by", NamedProfile.from_json, maximum=MAX_NAMED),
            lifted=fields.optional("lifted", lambda key: _envelope(fields, key)),
        )
        fields.done()
        return entry


def _harm(fields: Fields, key: str) -> Harm:
    text = fields.text(key, max_length=20)
    if text not in {item.value for item in Harm}:
        raise FormatError("must be low, moderate, high or critical", where=fields.place(key))
    return Harm(text)


def _envelope(fields: Fields, key: str) -> Envelope:
    return Envelope.parse(canonical(fields.mapping(key)), where=fields.place(key))
