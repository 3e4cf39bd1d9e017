r"""Strict JSON in, canonical JSON out.

Canonical JSON is RFC 8785 restricted to what a signature should be about: objects with ASCII keys, lists,
strings, booleans, null and integers of at most 53 bits. No floats: two parsers may round them apart.

    >>> canonical({"b": 1, "a": ["\u00e9"]})
    b'{"a":["\xc3\xa9"],"b":1}'

Strict means: UTF-8 without byte order mark, no duplicate keys, no NaN, bounded depth and size. Python's own
``json.loads`` accepts all of these, and very deep input raises ``RecursionError``, which no caller expects.
"""

import json
from collections.abc import Callable
from typing import Any, Final, Never

from signing.errors import FormatError

MAX_DEPTH = 32
MAX_SAFE_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return ``value`` as canonical JSON.

    Raises:
        FormatError: ``value`` holds something that canonical JSON has no spelling for.
    """
    if not _is_plain(value):
        _check_value(value, "$", 0)
    return _render(value)


def parse_json(data: bytes, *, where: str = "document", max_bytes: int = 4 << 20) -> Any:
    """Return the value of strict JSON ``data``.

    Raises:
        FormatError: not strict JSON, larger than ``max_bytes``, or nested deeper than ``MAX_DEPTH``.
    """
    if len(data) > max_bytes:
        raise FormatError(f"larger than {max_bytes} bytes", where=where)
    value = decode(data, where=where, whole=_bounded_int, fraction=_no_float)
    # A lone surrogate can only come from an escape; everything else that is not plain the decoder refused.
    if b"\\u" in data or not _is_shallow(value):
        _check_value(value, where, 0)
    return value


def decode(data: bytes, *, where: str, whole: Callable[[str], int], fraction: Callable[[str], float]) -> Any:
    """Return the value of JSON ``data``; one that reads numbers its own way begins here.

    ``whole`` and ``fraction`` read them; what they raise as FormatError is told. How deep the value is, and whether
    its texts are Unicode, is for the caller to look at.

    Raises:
        FormatError: not UTF-8, not JSON, with a byte order mark, a key twice, NaN, or nested far too deeply.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", where=where) from error
    if text.startswith("\ufeff"):
        raise FormatError("starts with a byte order mark", where=where)
    try:
        return json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_float=fraction,
            parse_constant=_no_constant,
            parse_int=whole,
        )
    except FormatError as error:
        raise FormatError(error.message, where=where) from error
    except (ValueError, RecursionError) as error:
        raise FormatError("not JSON, or nested too deeply", where=where) from error


def parse_canonical(data: bytes, *, where: str = "document", max_bytes: int = 4 << 20) -> Any:
    """Return the value of ``data``, which must be spelled canonically to the byte.

    Raises:
        FormatError: not strict JSON, or another spelling of the same value.
    """
    if len(data) <= max_bytes and (found := _fast(data)) is not None:
        return found[0]
    value = parse_json(data, where=where, max_bytes=max_bytes)
    if _render(value) != data:
        raise FormatError("not canonical JSON (another spelling of the same value)", where=where)
    return value


def _fast(data: bytes) -> tuple[Any] | None:
    """Return the value of ``data`` when it surely is canonical; None says only that `parse_json` has to look.

    A list of 35,000 packages holds more objects than one wants to ask for keys that appear twice. Nobody has to: such
    an object is printed with one of them, and is then not what was read.
    """
    if b"\\u" in data:  # perhaps a lone surrogate
        return None
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        return (value,) if _is_shallow(value) and _render(value) == data else None
    except (ValueError, RecursionError, FormatError):
        return None


def _render(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _is_shallow(value: Any) -> bool:
    """Return whether decoded JSON is not nested too deeply and has ASCII keys: one look at each object and list."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                if not "".join(item).isascii():
                    return False
                below += item.values()
            elif type(item) is list:
                below += item
        if not below:
            return True
        level = below
    return False


def _is_plain(value: Any) -> bool:
    """Return whether `_check_value` surely finds nothing; False says only that it has to look."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                if not item.isascii():
                    return False
            elif kind is dict:
                if not all(type(key) is str for key in item) or not "".join(item).isascii():
                    return False
                below += item.values()
            elif kind is list:
                below += item
            elif kind is int:
                if not -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:
                    return False
            elif item is not None and kind is not bool:
                return False
        if not below:
            return True
        level = below
    return False


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise FormatError("a key appears twice")
    return result


def _no_float(text: str) -> Never:
    raise FormatError(f"{text[:40]} is not an integer; floats are not accepted")


def _no_constant(text: str) -> Never:
    raise FormatError(f"{text} is not a number")


def _bounded_int(text: str) -> int:
    # Checked before int(): thousands of digits cost quadratic time, and "-0" is a second spelling of 0.
    if len(text) > 17 or text == "-0":  # noqa: PLR2004 - 2**53 has 16 digits and a sign
        raise FormatError("integer out of range")
    number = int(text)
    if abs(number) > MAX_SAFE_INTEGER:
        raise FormatError("integer out of range")
    return number


def _check_value(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FormatError(f"nested deeper than {MAX_DEPTH}", where=where)
    match value:
        case None | bool():
            return
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise FormatError("integer out of range", where=where)
        case str():
            _check_text(value, where)
        case list():
            for index, item in enumerate(value):
                _check_value(item, f"{where}[{index}]", depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise FormatError(f"key {key!r} is not an ASCII string", where=where)
                _check_value(item, f"{where}.{key}"[:200], depth + 1)
        case _:
            raise FormatError(f"{type(value).__name__} has no canonical spelling", where=where)


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, written as an escape
        raise FormatError("text is not valid Unicode", where=where) from error


_DECODER: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float, parse_int=_bounded_int)
