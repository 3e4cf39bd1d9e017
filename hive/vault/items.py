"""What `bw list items` answers, read as a bucket: three layouts, one marker, and nothing of anybody else.

    .hive               marker: text fields ``tenant_id`` = acme and ``keys`` = A,B,C, exactly these
    any item            every custom field is a variable
    a login or note     whose name is a variable: its password, or its notes
    .env, env           a note: dotenv text, strict form

Each fact closes a way in which the list is wrong while the command says it is right (reference/vault-bw §4):
items of other buckets come along, lists come back empty or short. So every item must name our collection and
our organisation and no other, the marker must be there once and name this tenant, and what it declares must be
what was found. An item that gives no variable is refused too: it was put there for something.

Errors name items by their place in the list and by id; names and notes of items may hold secrets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from hive.vault.bucket import MAX_VARIABLES, Bucket, Variable, make_bucket
from hive.vault.dotenv import is_variable_name, parse_text
from signing.errors import CouldNotVerifyError, FormatError, WrongSubjectError
from signing.format.names import TenantId, parse_tenant_id

MARKER: Final = ".hive"
MAX_ITEMS: Final = 500
_DOTENV_NAMES: Final = frozenset({".env", "env"})
_LOGIN, _NOTE = 1, 2
_LINKED: Final = 3
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_COLLECTION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_HOW_TO_MARK: Final = f"give the bucket one note {MARKER} with the text fields tenant_id and keys"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Item:
    """One item as the client prints it; only what is read here."""

    where: str
    kind: int
    name: str
    notes: str
    password: str
    fields: tuple[tuple[str, str], ...]
    organization_id: object
    collection_ids: object

    @classmethod
    def parse(cls, value: object, *, where: str) -> Self:
        """Return the item of ``value``; absent and null mean the same."""
        if not isinstance(value, dict):
            raise FormatError("not an item", where=where)
        identity = value.get("id")
        if not is_vault_id(identity):
            raise FormatError("an item without an id", where=where)
        where = f"{where} (item {identity})"
        if value.get("deletedDate") is not None:
            raise FormatError("an item from the trash", where=where, hint="empty the vault's trash")
        kind = value.get("type")
        login = value.get("login")
        if not isinstance(kind, int) or isinstance(kind, bool) or not isinstance(login, dict | None):
            raise FormatError("not an item", where=where)
        return cls(
            where=where,
            kind=kind,
            name=_text(value, "name", where),
            notes=_text(value, "notes", where),
            password=_text(login or {}, "password", where),
            fields=_fields(value.get("fields"), where),
            organization_id=value.get("organizationId"),
            collection_ids=value.get("collectionIds"),
        )


def is_vault_id(text: object) -> bool:
    """Return whether ``text`` is spelled as the vault spells the ids of items, collections and accounts."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def is_collection_id(text: str) -> bool:
    """Return whether ``text`` can be a collection id in the registry; a real vault's are narrower."""
    return _COLLECTION_ID.fullmatch(text) is not None


def read_items(answer: object, *, tenant_id: TenantId, collection_id: str, organization_id: str) -> Bucket:
    """Return the bucket of the tenant from the list of its items.

    Raises:
        FormatError: not a list of items, or one that no layout allows.
        WrongSubjectError: an item or the marker belongs to somebody else.
        CouldNotVerifyError: no marker, or what was listed is not what it declares.
        NotEntitledError: a variable of the hive itself.
    """
    if not isinstance(answer, list) or len(answer) > MAX_ITEMS:
        raise FormatError(f"not a list of at most {MAX_ITEMS} items", where="items")
    items = [_Item.parse(value, where=f"items[{index}]") for index, value in enumerate(answer)]
    for item in items:
        _check_ours(item, collection_id, organization_id)
    markers = [item for item in items if item.name == MARKER]
    if len(markers) != 1:
        raise CouldNotVerifyError(
            f"the bucket of {tenant_id} has {len(markers)} marker items, not one:"
            " it is empty, not readable for this account, or came only in part",
            hint=_HOW_TO_MARK,
        )
    declared = _read_marker(markers[0], tenant_id)
    found = (variable for item in items if item is not markers[0] for variable in _variables(item))
    return make_bucket(tenant_id, collection_id, found, declared=declared)


def _check_ours(item: _Item, collection_id: str, organization_id: str) -> None:
    """Refuse an item of another bucket, and one that stands in another bucket too: then two tenants hold it."""
    if item.organization_id != organization_id or item.collection_ids != [collection_id]:
        raise WrongSubjectError(
            "an item that belongs to another bucket, or to another one as well",
            where=item.where,
            hint="one item, one bucket; give each tenant a copy of what they share",
        )


def _read_marker(marker: _Item, tenant_id: TenantId) -> tuple[str, ...]:
    facts = dict(marker.fields)
    if len(marker.fields) != len(facts) or set(facts) != {"tenant_id", "keys"}:
        raise FormatError(
            "a marker with other fields than tenant_id and keys", where=marker.where, hint=_HOW_TO_MARK
        )
    owner = facts["tenant_id"]
    if owner != tenant_id:
        raise WrongSubjectError(
            f"the bucket is {_owner_shown(owner)}, not {tenant_id}'s",
            where=marker.where,
            hint="compare the collection id of hive show-tenant with the vault",
        )
    keys = tuple(facts["keys"].split(","))
    if len(keys) > MAX_VARIABLES or len(set(keys)) != len(keys) or not all(map(is_variable_name, keys)):
        raise FormatError(
            "a marker whose keys are not names of variables, each once, joined by commas",
            where=marker.where,
            hint="keys = A,B,C without blanks",
        )
    return keys


def _owner_shown(owner: str) -> str:
    try:
        return f"{parse_tenant_id(owner)}'s"
    except FormatError:
        return "of somebody else"


def _variables(item: _Item) -> Iterator[Variable]:
    """Yield the variables of one item.

    Raises:
        FormatError: it gives none, or holds a secret that has no variable's name.
    """
    given = [Variable(name, value, item.where) for name, value in item.fields]
    if is_variable_name(item.name):
        given.append(Variable(item.name, _named_value(item), item.where))
    elif item.name in _DOTENV_NAMES and item.kind == _NOTE:
        given += [Variable(*parsed) for parsed in parse_text(item.notes, where=f"{item.where} notes")]
    elif item.password:
        raise FormatError(
            "a password whose item's name is not the name of a variable",
            where=item.where,
            hint="name the item as the variable, or move the password into a custom field",
        )
    if not given:
        raise FormatError(
            "an item that gives no variable",
            where=item.where,
            hint="name it as a variable, give it custom fields, or take it out of the bucket",
        )
    yield from given


def _named_value(item: _Item) -> str:
    if item.kind == _LOGIN:
        return item.password
    if item.kind == _NOTE:
        return item.notes
    raise FormatError("neither a login nor a note", where=item.where, hint="use a login or a secure note")


def _fields(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_VARIABLES:
        raise FormatError("not a list of custom fields", where=where)
    found = []
    for index, field in enumerate(value):
        place = f"{where}.fields[{index}]"
        if not isinstance(field, dict) or field.get("type") == _LINKED:
            raise FormatError("a linked field, which holds no value of its own", where=place)
        found.append((_text(field, "name", place), _text(field, "value", place)))
    return tuple(found)


def _text(values: dict[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FormatError(f"{key} is not text", where=where)
    return value
