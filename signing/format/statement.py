"""in-toto Statement v1: a claim about named digests.

    {"_type":"https://in-toto.io/Statement/v1",
     "predicate":{…},
     "predicateType":"https://skills.clawdie.si/attestations/review/v1",
     "subject":[{"digest":{"sha256":"3b…"},"name":"skills/web-search/1.2.0/web-search-1.2.0.tar.gz"}]}

(in-toto/attestation, spec/v1/statement.md.) Written as canonical JSON. A verified signature says nothing yet
about the type, the predicate type or the subject; the caller compares those (`signing.evidence` does).
"""

from dataclasses import dataclass
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a claim is about: a name and the sha256 of its bytes."""

    name: str
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the subject as it stands in a statement."""
        return {"name": self.name, "digest": {"sha256": self.sha256}}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the subject written as ``value``."""
        fields = Fields.of(value, where=where)
        name = fields.text("name", max_length=400)
        digest = Fields.of(fields.take("digest"), where=fields.place("digest"))
        sha256 = parse_sha256(digest.take("sha256"), where=digest.place("sha256"))
        digest.done()
        fields.done()
        return cls(name=name, sha256=sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A claim of one type about one or more subjects."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject.to_json() for subject in self.subjects],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )

    @classmethod
    def parse(cls, data: bytes, *, where: str = "statement") -> Self:
        """Return the statement written as ``data``.

        Raises:
            FormatError: not a canonical Statement v1, or one about nothing.
        """
        fields = Fields.of(parse_canonical(data, where=where), where=where)
        fields.constant("_type", STATEMENT_TYPE)
        subjects = fields.items("subject", Subject.from_json, maximum=1_000)
        if not subjects:
            raise FormatError("about nothing", where=fields.place("subject"))
        predicate_type = fields.text("predicateType", max_length=200)
        predicate = fields.mapping("predicate")
        fields.done()
        return cls(subjects=subjects, predicate_type=predicate_type, predicate=predicate)
