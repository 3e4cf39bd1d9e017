"""JSON as pkg's libucl writes it, read strictly, also when it is large.

`signing.format.canonical` is for what we sign ourselves: small, with ASCII keys. Catalogues and manifests have file
names for keys, and tens of megabytes; they are walked by no Python code here, and the same tricks are refused: a key
twice, numbers that are none or huge, NaN, nesting without end, text that is no Unicode.
"""

import json
import re
from typing import Any, Final, Never

from signing.errors import FormatError

_MAX_DIGITS: Final = 19
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(data: bytes, *, where: str, max_bytes: int) -> Any:
    """Return the value of ``data``.

    Raises:
        FormatError: not JSON, larger than ``max_bytes``, or one of the tricks above.
    """
    if len(data) > max_bytes:
        raise FormatError(f"larger than {max_bytes} bytes", where=where)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except FormatError as error:
        raise FormatError(error.message, where=where) from error
    except (ValueError, RecursionError) as error:
        raise FormatError("not JSON, or nested too deeply", where=where) from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FormatError("a key appears twice")
    return found


def _no_float(text: str) -> Never:
    raise FormatError(f"{text[:40]} is not an integer")


def _integer(text: str) -> int:
    # Before int(): thousands of digits cost quadratic time.
    if len(text) > _MAX_DIGITS:
        raise FormatError("integer out of range")
    return int(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_no_float, parse_constant=_no_float, parse_int=_integer
)
