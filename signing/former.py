"""Curators who left: what they signed while they were curators goes on to count (pure).

    "x-skillrepo-former": {"curators": {KEYID: {"keytype", "keyval", "scheme", "x-skillrepo-holder"}}, "lifted": [ID, …]}

This stands in the top-level ``targets`` and so is signed by as many of today's curators as publishing takes. A review
by somebody who left counts: its bytes are named by a hash bin that today's curators sign. A withdrawal that people who
left had lifted stays lifted when it is named here, one by one; their keys lift nothing more. Whoever lost a key to a
thief is not named here: what only that key signed counts no longer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from securesystemslib.signer import Key
from tuf.api.metadata import Targets

from signing.errors import FormatError
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.names import parse_holder_name
from signing.keys import HOLDER_FIELD, HeldKey, check_keys, holder_of

FIELD: Final = "x-skillrepo-former"
_MAX_KEYS: Final = 1_000
_MAX_LIFTED: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The keys of curators who left, and the withdrawals that stay lifted although they were the ones who lifted them."""

    keys: tuple[Key, ...] = ()
    lifted: frozenset[Sha256] = frozenset()

    @classmethod
    def of(cls, targets: Targets) -> Self:
        """Return what the top-level ``targets`` say of curators who left.

        Raises:
            FormatError: it is not spelled as here.
        """
        value = targets.unrecognized_fields.get(FIELD)
        if value is None:
            return cls()
        fields = Fields.of(value, where=FIELD)
        keys = _keys(fields.take("curators"))
        lifted = fields.items(
            "lifted", lambda item, where: parse_sha256(item, where=where), maximum=_MAX_LIFTED
        )
        fields.done()
        if list(lifted) != sorted(set(lifted)):
            raise FormatError("not sorted, or one stands there twice", where=f"{FIELD}.lifted")
        return cls(keys=keys, lifted=frozenset(lifted))

    def to_fields(self) -> dict[str, Any]:
        """Return the extra field of ``targets``; none where there is nothing to say."""
        if not self.keys and not self.lifted:
            return {}
        keys = {key.keyid: key.to_dict() for key in sorted(self.keys, key=lambda key: key.keyid)}
        return {FIELD: {"curators": keys, "lifted": sorted(self.lifted)}}

    def without(self, keys: Iterable[Key]) -> "Former":
        """Return the same without ``keys``."""
        gone = {key.keyid for key in keys}
        return Former(keys=tuple(key for key in self.keys if key.keyid not in gone), lifted=self.lifted)


def _keys(value: object) -> tuple[Key, ...]:
    where = f"{FIELD}.curators"
    if not isinstance(value, Mapping) or len(value) > _MAX_KEYS:
        raise FormatError("not a list of keys by their ids, or endless", where=where)
    found: dict[str, Key] = {}
    for keyid, item in value.items():
        if not isinstance(item, Mapping) or set(item) != {"keytype", "keyval", "scheme", HOLDER_FIELD}:
            raise FormatError("not a key", where=where)
        public = item["keyval"].get("public") if isinstance(item["keyval"], Mapping) else None
        holder = parse_holder_name(item[HOLDER_FIELD], where=where)
        # Made anew from its two facts: nothing else of it counts, and the id is computed, never believed.
        key: Key = HeldKey(holder=holder, public=parse_sha256(public, where=where)).to_tuf()
        if key.keyid != keyid or key.to_dict() != item:
            raise FormatError(f"key {keyid[:16]!a}… is not spelled as ours are", where=where)
        found[keyid] = key
    check_keys(found, where=where)
    return tuple(found[keyid] for keyid in sorted(found))


def said_of(former: Former) -> str:
    """Return the names of those who left, for people."""
    return ", ".join(sorted(holder_of(key) for key in former.keys))
