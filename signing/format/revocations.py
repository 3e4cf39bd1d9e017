"""The list of what is withdrawn: signed by one curator, fresh, required, and only ever longer.

    {"entries":[…signing.format.withdrawal…],"schema":"https://skills.clawdie.si/schema/revocations/v1"}

A missing, expired or unreadable list refuses births: peers treat a missing list as "nothing revoked". Entries
are added at the end and stay there, also when they are lifted. So that whoever has seen a list can tell a list
that lost an entry, the *head* of its first N entries is sha256(head of N-1, id of the Nth), in hexadecimal
digits, and the head of none is the sha256 of nothing.
"""

from dataclasses import dataclass
from typing import Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.fields import Fields
from signing.format.names import HolderName
from signing.format.withdrawal import Withdrawal

SCHEMA = "https://skills.clawdie.si/schema/revocations/v1"
# One curator can fill the list. What that costs everybody else has an end.
MAX_ENTRIES = 20_000
MAX_LIST_BYTES = 16 << 20
# What stands there stays for ever: whoever stole one key must not leave a list that takes no entry any more.
MAX_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """The complete list."""

    entries: tuple[Withdrawal, ...] = ()

    def head(self, count: int | None = None) -> Sha256:
        """Return the head of the first ``count`` entries, of all by default."""
        digest = sha256_of(b"")
        for entry in self.entries[:count]:
            digest = sha256_of(f"{digest}{entry.id}".encode())
        return digest

    def continues(self, *, count: int, head: Sha256) -> bool:
        """Return whether this list begins with the ``count`` entries whose head was ``head``."""
        return count <= len(self.entries) and self.head(count) == head

    def with_entry(self, entry: Withdrawal) -> "Revocations":
        """Return the list with ``entry`` at its end.

        Raises:
            FormatError: it stands there already, or the list is full.
        """
        return Revocations.parse(Revocations(entries=(*self.entries, entry)).render())

    def with_lifting(self, lifted: Withdrawal) -> "Revocations":
        """Return the list with ``lifted`` in the place of the entry of the same id."""
        return Revocations(entries=tuple(lifted if e.id == lifted.id else e for e in self.entries))

    def leaves_room(self, by: HolderName) -> bool:
        """Return whether what ``by`` withdrew is at most a quarter of what the list can hold."""
        theirs = [entry.to_json() for entry in self.entries if entry.by == by]
        return len(theirs) * MAX_SHARE <= MAX_ENTRIES and len(canonical(theirs)) * MAX_SHARE <= MAX_LIST_BYTES

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical({"schema": SCHEMA, "entries": [entry.to_json() for entry in self.entries]})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the list written as ``data``.

        Raises:
            FormatError: not a canonical list, too long, or an entry stands there twice.
        """
        if len(data) > MAX_LIST_BYTES:
            raise FormatError(f"longer than {MAX_LIST_BYTES} bytes", where="revocations")
        value = parse_canonical(data, where="revocations", max_bytes=MAX_LIST_BYTES)
        fields = Fields.of(value, where="revocations")
        fields.constant("schema", SCHEMA)
        entries = fields.items("entries", Withdrawal.from_json, maximum=MAX_ENTRIES)
        fields.done()
        if len({entry.id for entry in entries}) != len(entries):
            raise FormatError("an entry stands there twice", where="revocations.entries")
        return cls(entries=entries)
