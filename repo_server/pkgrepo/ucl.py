"""The part of UCL that pkg writes into meta.conf and fingerprint files.

    version = 2;                     a number
    packing_format = "tzst";         a string; ``:`` is accepted for ``=``, and nothing between them
    extra {                          an object
        repo = "demo";
    }
    # and /* comments */

UCL itself also knows macros that include files, variables, numbers with suffixes, sections that merge, and keys that
repeat. None of it is written by pkg, and all of it is a way to be read in two ways: refused.
"""

import re
from typing import Any, Final

from signing.errors import FormatError

MAX_UCL_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 8
_TOKEN: Final = re.compile(
    r"""(?:[ \t\r\n]++|\#[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+
    (?:(?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*+")
      |(?P<word>[A-Za-z0-9_./+-]++)
      |(?P<sign>[{}\[\]=:;,])
      |(?P<end>\Z))""",
    re.VERBOSE | re.ASCII,
)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final = {"true": True, "false": False}


def parse_ucl(data: bytes, *, where: str) -> dict[str, Any]:
    """Return the object written as ``data``.

    Raises:
        FormatError: not of this part of UCL, or larger than `MAX_UCL_BYTES`.
    """
    if len(data) > MAX_UCL_BYTES:
        raise FormatError(f"larger than {MAX_UCL_BYTES} bytes", where=where)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", where=where) from error
    tokens = _Tokens(text, where)
    if tokens.accept("{"):
        found = tokens.pairs("}", 1)
        tokens.expect("")
        return found
    return tokens.pairs("", 0)


def render_ucl(values: "dict[str, Any]", *, indent: str = "") -> str:
    """Return ``values`` as pkg writes them: one to a line, in their order."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key} {{\n{render_ucl(value, indent=indent + '    ')}{indent}}}\n")
        else:
            lines.append(f"{indent}{key} = {_value(value)};\n")
    return "".join(lines)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        if escaped.isprintable():
            return f'"{escaped}"'
    raise FormatError("has no spelling in UCL", where="ucl")


class _Tokens:
    """A cursor over the words and signs of a text."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where, self._at = text, where, 0
        self._kind = self._token = ""
        self._advance()

    def pairs(self, end: str, depth: int) -> dict[str, Any]:
        """Return the pairs up to ``end``, which is consumed."""
        found: dict[str, Any] = {}
        while not self.accept(end):
            key = self._key()
            if key in found:
                raise FormatError(f"{key[:40]!a} stands there twice", where=self._where)
            if not (self.accept("=") or self.accept(":")) and not self._is("{"):
                raise self._error()
            found[key] = self._any(depth)
            while self.accept(";") or self.accept(","):
                pass
        return found

    def accept(self, sign: str) -> bool:
        """Consume ``sign`` (the end, when it is empty) and return whether it was there."""
        if not self._is(sign):
            return False
        self._advance()
        return True

    def expect(self, sign: str) -> None:
        """Consume ``sign``, which must be there."""
        if not self.accept(sign):
            raise self._error()

    def _is(self, sign: str) -> bool:
        return self._kind == ("sign" if sign else "end") and self._token == sign

    def _any(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise FormatError("nested too deeply", where=self._where)
        if self.accept("{"):
            return self.pairs("}", depth + 1)
        if self.accept("["):
            return self._items(depth + 1)
        kind, token = self._kind, self._token
        self._advance()
        if kind == "string":
            return _unescaped(token)
        if kind == "word" and _INTEGER.fullmatch(token):
            return int(token)
        if kind == "word" and token in _WORDS:
            return _WORDS[token]
        raise self._error()

    def _items(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self.accept("]"):
            found.append(self._any(depth))
            if not self.accept(",") and not self._is("]"):
                raise self._error()
        return found

    def _key(self) -> str:
        kind, token = self._kind, self._token
        self._advance()
        key = _unescaped(token) if kind == "string" else token
        if kind not in {"string", "word"} or not _KEY.fullmatch(key):
            raise self._error()
        return key

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            raise self._error()
        self._at = match.end()
        self._kind, self._token = match.lastgroup, match[match.lastgroup]

    def _error(self) -> FormatError:
        line = self._text.count("\n", 0, self._at) + 1
        return FormatError(f"not what pkg writes, near line {line}", where=self._where)


def _unescaped(token: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1])
