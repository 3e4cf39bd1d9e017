"""What a desk is shown of a repository: the rows that curators' verbs read, as one canonical document.

    {"candidates":[{"address":"…","id":"5f…",…},…],"dev":false,"metadata":[…],"policy":{},"profiles":[…],
     "proposals":[…],"releases":[…],…,"schema":"https://skills.clawdie.si/schema/desk-state/v1"}

The document is the rows: each table under its name, each row with the names of its columns. Times are in seconds,
bytes in base64, texts as they are. All candidates, releases and profiles; of proposals the open ones; of metadata
every root and every ``targets`` (who built packages before whom), and the newest of each other role. Blobs are fetched by their digests. The same state has the same
bytes, so its digest tells whether anything changed.

Whoever reads it believes none of it: rows of wrong shape are refused here, lies in rows of the right shape by
`repo_server.desk.checking` and by whatever checks the same rows on the server's own machine.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Integer, LargeBinary, String, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from repo_server.db.models import (
    AttestationRow,
    Base,
    CandidateRow,
    MetadataRow,
    Moment,
    ProfileRow,
    ProposalRow,
    ProposalState,
    ReleaseRow,
)
from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import parse_sha256
from signing.format.fields import Fields
from signing.format.finding import Finding
from signing.format.manifest import Kind
from signing.format.moment import parse_moment, render_moment
from signing.format.names import parse_skill_name, parse_version
from signing.roles import ROOT, TARGETS

SCHEMA: Final = "https://skills.clawdie.si/schema/desk-state/v1"
MAX_STATE_BYTES: Final = 64 << 20
_MAX_ROWS: Final = 200_000
_MAX_INTEGER: Final = 2**53 - 1
_MAX_TEXT: Final = 1_000_000
_WORD: Final = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)
_ROLE: Final = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_CANDIDATE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SUBJECT: Final = re.compile(r"[a-z]+:[A-Za-z0-9.!=_:/-]{1,110}", re.ASCII)
# In this order they can be filled: candidates before what names them.
TABLES: Final[tuple[type[Base], ...]] = (
    CandidateRow,
    MetadataRow,
    ProposalRow,
    ReleaseRow,
    ProfileRow,
    AttestationRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a desk is shown besides rows: whether the keys are throw-away keys, and the files of the policy."""

    dev: bool
    policy: Mapping[str, bytes]


def render_state(session: Session, setting: Setting) -> bytes:
    """Return the state as ``session`` sees it.

    Raises:
        FormatError: it is larger than a reader takes.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "dev": setting.dev,
        "policy": {name: _plain(content) for name, content in setting.policy.items()},
    }
    for table in TABLES:
        document[table.__tablename__] = [row_to_json(row) for row in _rows(session, table)]
    data = canonical(document)
    if len(data) > MAX_STATE_BYTES:
        raise FormatError(f"larger than {MAX_STATE_BYTES} bytes", where="desk state")
    return data


def load_state(session: Session, data: bytes) -> Setting:
    """Fill the empty database behind ``session``, and return what is no row.

    Raises:
        FormatError: not such a document.
    """
    document = parse_canonical(data, where="state", max_bytes=MAX_STATE_BYTES)
    fields = Fields.of(document, where="state")
    fields.constant("schema", SCHEMA)
    dev = fields.take("dev")
    if not isinstance(dev, bool):
        raise FormatError("not true or false", where="state.dev")
    policy = fields.mapping("policy")
    for name in policy:
        if not _FILE.fullmatch(name):
            raise FormatError(f"{name[:40]!a} is not the plain name of a file", where="state.policy")
    files = {name: _bytes(content, f"state.policy.{name}") for name, content in policy.items()}
    for table in TABLES:
        rows = fields.items(table.__tablename__, _reader(table), maximum=_MAX_ROWS)
        add_rows(session, rows)
    fields.done()
    return Setting(dev=dev, policy=files)


def add_rows(session: Session, rows: Sequence[Base]) -> None:
    """Add rows that came from outside.

    Raises:
        FormatError: two have one key, or one names a candidate that is not there.
    """
    try:
        session.add_all(rows)
        session.flush()
    except IntegrityError as error:
        raise FormatError(
            "two rows have one key, or a row is missing that another names", where="state"
        ) from error


def row_to_json(row: Base) -> dict[str, Any]:
    """Return one row as it stands in the document."""
    return {column.name: _plain(getattr(row, column.name)) for column in _columns(type(row))}


def row_from_json(table: type[Base], value: object, where: str) -> Base:
    """Return the row written as ``value``.

    Raises:
        FormatError: another shape, or a value that this column never holds.
    """
    fields = Fields.of(value, where=where)
    values = {
        column.name: _value(column, fields.take(column.name), fields.place(column.name))
        for column in _columns(table)
    }
    fields.done()
    return table(**values)


def _reader(table: type[Base]) -> Callable[[Any, str], Base]:
    return lambda value, where: row_from_json(table, value, where)


def _columns(table: type[Base]) -> Sequence[Column[Any]]:
    return tuple(inspect(table).columns)


def _rows(session: Session, table: type[Base]) -> Iterable[Base]:
    statement = select(table).order_by(*inspect(table).primary_key)
    if table is ProposalRow:
        statement = statement.where(ProposalRow.state == ProposalState.OPEN)
    if table is MetadataRow:
        newest = (
            select(MetadataRow.role, func.max(MetadataRow.version).label("version"))
            .group_by(MetadataRow.role)
            .subquery()
        )
        wanted = (MetadataRow.version == newest.c.version) | MetadataRow.role.in_([ROOT, TARGETS])
        statement = statement.join(newest, (MetadataRow.role == newest.c.role) & wanted)
    return session.scalars(statement)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return render_moment(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _value(column: Column[Any], value: object, where: str) -> Any:
    if value is None and column.nullable:
        return None
    kind = column.type
    if isinstance(kind, Moment):
        return parse_moment(value, where=where)
    if isinstance(kind, LargeBinary):
        return _bytes(value, where)
    if isinstance(kind, Integer):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
            raise FormatError("not an integer", where=where)
        return value
    longest = kind.length if isinstance(kind, String) and kind.length is not None else _MAX_TEXT
    if not isinstance(value, str) or len(value) > longest:
        raise FormatError(f"not a text of at most {longest} characters", where=where)
    _check_text(column.name, value, where)
    return value


def _bytes(value: object, where: str) -> bytes:
    if not isinstance(value, str):
        raise FormatError("not base64", where=where)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64", where=where) from error


def _check_text(name: str, text: str, where: str) -> None:
    """Raise FormatError when a column of this name never holds ``text``: other code reads it without asking."""
    if name.endswith("sha256"):
        parse_sha256(text, where=where)
    elif name in _PARSERS:
        _PARSERS[name](text, where)


def _check_word(pattern: re.Pattern[str]) -> Callable[[str, str], None]:
    def check(text: str, where: str) -> None:
        if not pattern.fullmatch(text):
            raise FormatError(f"{text[:40]!a} is not one", where=where)

    return check


def _check_kind(text: str, where: str) -> None:
    if text not in {kind.value for kind in Kind}:
        raise FormatError(f"{text[:40]!a} is no kind", where=where)


def _check_resolved(text: str, where: str) -> None:
    facts = parse_canonical(text.encode(), where=where)
    if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
        raise FormatError("not texts by name", where=where)


def _check_observations(text: str, where: str) -> None:
    items = parse_canonical(text.encode(), where=where)
    if not isinstance(items, list):
        raise FormatError("not a list", where=where)
    for index, item in enumerate(items):
        Finding.from_json(item, f"{where}[{index}]")


_PARSERS: Final[dict[str, Callable[[str, str], object]]] = {
    "name": lambda text, where: parse_skill_name(text, where=where),
    "version": lambda text, where: parse_version(text, where=where),
    "kind": _check_kind,
    "state": _check_word(_WORD),
    "role": _check_word(_ROLE),
    "id": _check_word(_CANDIDATE_ID),
    "candidate_id": _check_word(_CANDIDATE_ID),
    "subject": _check_word(_SUBJECT),
    "resolved": _check_resolved,
    "observations": _check_observations,
}
