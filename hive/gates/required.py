"""Which gates there are: our own, and whatever more a host demands; it reads two files (edge).

A host's file adds gates. It can neither drop nor loosen one of ours: a name that we use already is refused.
"""

import enum
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

from signing.errors import FormatError, NotFoundError

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
_KEYS: Final = {"name": str, "title": str, "source": str, "days": int, "waivable": bool, "proof": str}
_MAX_DAYS: Final = 1100
_MAX_BYTES: Final = 1 << 18


class Proof(enum.StrEnum):
    """What opens a gate."""

    DOCUMENT = "document"
    SELF_TEST = "self-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing that has to be proven; ``life`` is how long a proof counts at most."""

    name: str
    title: str
    source: str
    life: timedelta
    waivable: bool
    proof: Proof

    @classmethod
    def parse(cls, value: Mapping[str, Any], *, where: str) -> Self:
        """Return the gate of one table of a gates file.

        Raises:
            FormatError: a key is missing, unknown or wrong.
        """
        if set(value) != set(_KEYS) or any(type(value[key]) is not kind for key, kind in _KEYS.items()):
            raise FormatError(f"a gate has exactly {', '.join(_KEYS)}", where=where)
        if not _NAME.fullmatch(value["name"]):
            raise FormatError(f"{value['name']!a} is not a name of a gate", where=where)
        if not 1 <= value["days"] <= _MAX_DAYS:
            raise FormatError(f"a proof counts for 1 to {_MAX_DAYS} days", where=where)
        if value["proof"] not in {proof.value for proof in Proof}:
            raise FormatError(f"{value['proof']!a} is no kind of proof", where=where)
        return cls(
            name=value["name"],
            title=value["title"],
            source=value["source"],
            life=timedelta(days=value["days"]),
            waivable=value["waivable"],
            proof=Proof(value["proof"]),
        )


def required_gates(more: Path | None = None) -> tuple[Gate, ...]:
    """Return every gate of this host: ours, then those of the file ``more``.

    Raises:
        NotFoundError: the file cannot be read. An operator who demands more must not get less by a typing error.
        FormatError: it is not of this form, or names one of ours.
    """
    ours = _parse(resources.files("hive.gates").joinpath("required.toml").read_text(), where="required.toml")
    if more is None:
        return ours
    try:
        with more.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1).decode()
    except OSError as error:
        raise NotFoundError(
            f"cannot read {more}: {error.strerror}", hint="the setting gates names it"
        ) from error
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", where=str(more)) from error
    if len(text) > _MAX_BYTES:
        raise FormatError(f"larger than {_MAX_BYTES} bytes", where=str(more))
    gates = (*ours, *_parse(text, where=str(more)))
    names = [gate.name for gate in gates]
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"the gate {name} is there twice", where=str(more))
    return gates


def _parse(text: str, *, where: str) -> tuple[Gate, ...]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError("not TOML", where=where) from error
    tables = document.get("gate")
    if (
        set(document) != {"gate"}
        or not isinstance(tables, list)
        or not all(isinstance(t, dict) for t in tables)
    ):
        raise FormatError("a gates file has [[gate]] tables and nothing else", where=where)
    return tuple(Gate.parse(table, where=f"{where}, gate {number}") for number, table in enumerate(tables, 1))
