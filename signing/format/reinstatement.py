"""What curators sign who lift a withdrawal: an in-toto statement about one entry, by its id.

    {"_type":"https://in-toto.io/Statement/v1",
     "predicate":{"at":"2026-11-23T09:00:00Z","by":"alice","reason":"the third host is ours"},
     "predicateType":"https://skills.clawdie.si/attestations/reinstatement/v1",
     "subject":[{"digest":{"sha256":"…the entry's id…"},"name":"withdrawal"}]}

``by`` is who asked first; everybody who signs after that signs the same bytes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from signing.errors import WrongSubjectError
from signing.format.digest import Sha256
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import HolderName, parse_holder_name
from signing.format.statement import PAYLOAD_TYPE, Statement, Subject
from signing.format.withdrawal import MAX_REASON

REINSTATEMENT_TYPE = "https://skills.clawdie.si/attestations/reinstatement/v1"
_SUBJECT = "withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstatement:
    """What the curators say who lift a withdrawal: this very entry, for this reason."""

    withdrawal: Sha256
    reason: str
    by: HolderName
    at: datetime

    def to_envelope(self) -> Envelope:
        """Return the statement in an envelope that nobody has signed yet."""
        predicate = {"reason": self.reason, "by": self.by, "at": render_moment(self.at)}
        statement = Statement(
            subjects=(Subject(name=_SUBJECT, sha256=self.withdrawal),),
            predicate_type=REINSTATEMENT_TYPE,
            predicate=predicate,
        )
        return Envelope(payload_type=PAYLOAD_TYPE, payload=statement.render())

    @classmethod
    def parse(cls, envelope: Envelope, *, withdrawal: Sha256, where: str = "lifted") -> Self:
        """Return what ``envelope`` says about the entry ``withdrawal``; its signatures are not looked at.

        Raises:
            WrongSubjectError: it is about another entry, or says something else.
            FormatError: not such a statement.
        """
        if envelope.payload_type != PAYLOAD_TYPE:
            raise WrongSubjectError(f"carries {envelope.payload_type!a}", where=where)
        statement = Statement.parse(envelope.payload, where=where)
        if statement.predicate_type != REINSTATEMENT_TYPE:
            raise WrongSubjectError(f"claims {statement.predicate_type!a}, not a reinstatement", where=where)
        if statement.subjects != (Subject(name=_SUBJECT, sha256=withdrawal),):
            raise WrongSubjectError("lifts another withdrawal", where=where)
        fields = Fields.of(statement.predicate, where=where)
        reinstatement = cls(
            withdrawal=withdrawal,
            reason=fields.text("reason", max_length=MAX_REASON),
            by=parse_holder_name(fields.take("by"), where=fields.place("by")),
            at=parse_moment(fields.take("at"), where=fields.place("at")),
        )
        fields.done()
        return reinstatement
