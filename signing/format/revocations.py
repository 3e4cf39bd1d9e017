"""The list of what may run nowhere: signed by one curator, fresh, and required.

    {"entries":[{"by":"alice","name":"web-search","reason":"leaks the query","revoked_at":"2026-11-22T12:00:00Z",
                 "tree_sha256":null,"version":"1.2.0"}],
     "schema":"https://skills.clawdie.si/schema/revocations/v1"}

An entry names a tree digest, or a name with a version, or a name alone (every version). A missing, expired or
unreadable list refuses births: peers treat a missing list as "nothing revoked".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import (
    HolderName,
    Pin,
    ReleaseVersion,
    SkillName,
    parse_holder_name,
    parse_skill_name,
    parse_version,
)

SCHEMA = "https://skills.clawdie.si/schema/revocations/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One withdrawal: by tree digest, or by name with or without a version."""

    tree_sha256: Sha256 | None
    name: SkillName | None
    version: ReleaseVersion | None
    reason: str
    by: HolderName
    revoked_at: datetime

    def __post_init__(self) -> None:
        by_digest = self.tree_sha256 is not None and self.name is None and self.version is None
        by_name = self.tree_sha256 is None and self.name is not None
        if not by_digest and not by_name:
            raise FormatError("names neither a digest alone nor a name", where="revocation")

    def covers(self, pin: Pin, tree_sha256: Sha256) -> bool:
        """Return whether this entry withdraws the release ``pin`` with that tree."""
        if self.tree_sha256 is not None:
            return self.tree_sha256 == tree_sha256
        return self.name == pin.name and self.version in {None, pin.version}

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the list."""
        return {
            "tree_sha256": self.tree_sha256,
            "name": self.name,
            "version": self.version,
            "reason": self.reason,
            "by": self.by,
            "revoked_at": render_moment(self.revoked_at),
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the entry written as ``value``."""
        fields = Fields.of(value, where=where)
        entry = cls(
            tree_sha256=fields.optional(
                "tree_sha256", lambda key: parse_sha256(fields.take(key), where=fields.place(key))
            ),
            name=fields.optional(
                "name", lambda key: parse_skill_name(fields.take(key), where=fields.place(key))
            ),
            version=fields.optional(
                "version", lambda key: parse_version(fields.take(key), where=fields.place(key))
            ),
            reason=fields.text("reason", max_length=2_000),
            by=parse_holder_name(fields.take("by"), where=fields.place("by")),
            revoked_at=parse_moment(fields.take("revoked_at"), where=fields.place("revoked_at")),
        )
        fields.done()
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """The complete list."""

    entries: tuple[Revocation, ...] = ()

    def find(self, pin: Pin, tree_sha256: Sha256) -> Revocation | None:
        """Return the first entry that withdraws ``pin``, or None."""
        return _first(entry for entry in self.entries if entry.covers(pin, tree_sha256))

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical({"schema": SCHEMA, "entries": [entry.to_json() for entry in self.entries]})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the list written as ``data``.

        Raises:
            FormatError: not a canonical list.
        """
        fields = Fields.of(parse_canonical(data, where="revocations"), where="revocations")
        fields.constant("schema", SCHEMA)
        entries = fields.items("entries", Revocation.from_json, maximum=100_000)
        fields.done()
        return cls(entries=entries)


def _first(entries: Iterable[Revocation]) -> Revocation | None:
    return next(iter(entries), None)
