"""What operators sign who set the policy of a host: an in-toto statement about the bytes of its policy file.

    {"_type":"https://in-toto.io/Statement/v1",
     "predicate":{"expires_at":"2027-02-20T09:00:00Z","host":"jails1.clawdie.si","issued_at":"2026-11-22T09:00:00Z","serial":7},
     "predicateType":"https://skills.clawdie.si/attestations/host-policy/v1",
     "subject":[{"digest":{"sha256":"…the file's digest…"},"name":"host-policy"}]}

``host`` is the name of one machine, as it calls itself, or ``*`` for every host. ``serial`` grows with each policy; a
host takes no lower one than it has seen. Everybody who signs after the first signs the same bytes.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from signing.errors import FormatError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.statement import PAYLOAD_TYPE, Statement, Subject

HOST_POLICY_TYPE: Final = "https://skills.clawdie.si/attestations/host-policy/v1"
EVERY_HOST: Final = "*"
MAX_POLICY_BYTES: Final = 1 << 20
MAX_ENVELOPE_BYTES: Final = 64 << 10
# A policy that nobody looks at for a year binds nobody who is still there.
MAX_LIFE: Final = timedelta(days=366)
MAX_SERIAL: Final = (1 << 53) - 1
_SUBJECT: Final = "host-policy"
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_MAX_HOST: Final = 253


def parse_policy_host(text: object, *, where: str = "host") -> str:
    """Return ``text`` as the name of one host, or as ``*``.

    Raises:
        FormatError: neither a host name in lower case nor ``*``.
    """
    if text == EVERY_HOST:
        return EVERY_HOST
    if not isinstance(text, str) or len(text) > _MAX_HOST or not _HOST.fullmatch(text):
        raise FormatError("neither a host name in lower case nor *", where=where)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatement:
    """What operators claim: this file is the policy of this host, in this place of the row, until then.

    Raises:
        FormatError: a serial below 1, or a life of nothing or of more than `MAX_LIFE`.
    """

    sha256: Sha256
    host: str
    serial: int
    issued_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        if not 1 <= self.serial <= MAX_SERIAL:
            raise FormatError(f"a number from 1 to {MAX_SERIAL}", where="serial")
        if not timedelta(0) < self.expires_at - self.issued_at <= MAX_LIFE:
            raise FormatError(
                f"ends before it begins, or more than {MAX_LIFE.days} days after", where="expires_at"
            )

    def statement(self) -> Statement:
        """Return the statement to sign."""
        return Statement(
            subjects=(Subject(name=_SUBJECT, sha256=self.sha256),),
            predicate_type=HOST_POLICY_TYPE,
            predicate={
                "host": self.host,
                "serial": self.serial,
                "issued_at": render_moment(self.issued_at),
                "expires_at": render_moment(self.expires_at),
            },
        )

    def envelope(self) -> Envelope:
        """Return the envelope, without signatures."""
        return Envelope(payload_type=PAYLOAD_TYPE, payload=self.statement().render())

    @classmethod
    def of(cls, envelope: Envelope, *, where: str = "policy signatures") -> Self:
        """Return what the payload of ``envelope`` claims; whether anybody signed it is not looked at.

        Raises:
            WrongSubjectError: it says something else than what the policy of a host is.
            FormatError: not such a statement in its one spelling.
        """
        if envelope.payload_type != PAYLOAD_TYPE:
            raise WrongSubjectError(f"carries {envelope.payload_type!a}", where=where)
        statement = Statement.parse(envelope.payload, where=where)
        if statement.predicate_type != HOST_POLICY_TYPE:
            raise WrongSubjectError(
                f"claims {statement.predicate_type!a}, which is no policy of a host", where=where
            )
        if [subject.name for subject in statement.subjects] != [_SUBJECT]:
            raise WrongSubjectError(f"is not about one {_SUBJECT}", where=where)
        fields = Fields.of(statement.predicate, where=where)
        found = cls(
            sha256=statement.subjects[0].sha256,
            host=parse_policy_host(fields.take("host"), where=fields.place("host")),
            serial=fields.integer("serial", maximum=MAX_SERIAL),
            issued_at=parse_moment(fields.take("issued_at"), where=fields.place("issued_at")),
            expires_at=parse_moment(fields.take("expires_at"), where=fields.place("expires_at")),
        )
        fields.done()
        return found
