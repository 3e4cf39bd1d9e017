"""Strict JSON, and the fields of an object: of the lock record, of the hive's answers, of a command's output."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from mother.errors import MalformedError

LABEL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
CAPABILITY = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
MAX_TEXT = 64  # characters of a name
MAX_DEPTH = 64  # levels of nesting; the hive passes half of that on
MAX_NUMBER = 25  # characters of a whole number; thousands of digits cost quadratic time
ONE_DAY = 86_400


def parse_object(data: bytes, *, what: str) -> dict[str, Any]:
    """Return the JSON object in ``data``; doubled names, NaN, great depth and other generosities are refused.

    Raises:
        MalformedError: it is not one.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
        _check_depth(value)
    except (ValueError, RecursionError):
        raise MalformedError(f"{what} is not strict JSON") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object")
    return value


def text_field(record: dict[str, Any], name: str, form: re.Pattern[str], *, what: str) -> str:
    """Return a string of ``record`` that has exactly the form given."""
    value = record.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT or not form.fullmatch(value):
        raise MalformedError(f"{what}: {name!r} is missing or not in its accepted form")
    return value


def list_field(record: dict[str, Any], name: str, *, what: str) -> list[Any]:
    """Return a list of ``record``."""
    value = record.get(name)
    if not isinstance(value, list):
        raise MalformedError(f"{what}: {name!r} is missing or not a list")
    return value


def labels_field(record: dict[str, Any], name: str, *, what: str) -> frozenset[str]:
    """Return a list of capability names as a set."""
    return frozenset(
        text_field({name: item}, name, CAPABILITY, what=what) for item in list_field(record, name, what=what)
    )


def seconds_field(record: dict[str, Any], name: str, *, what: str) -> float:
    """Return a number of seconds above zero and up to one day."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= ONE_DAY:
        raise MalformedError(f"{what}: {name!r} is not a number of seconds")
    return float(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name is given twice")
    return names


def _whole(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise ValueError("a number is out of range")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _check_depth(value: Any) -> None:
    # What can be parsed cannot always be written again: json has another limit for each way.
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise ValueError("nested too deeply")
