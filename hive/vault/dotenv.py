r"""The environment file of a jail: one strict form, written here and read by the mother skill.

    OPENROUTER_API_KEY=sk-or-v1-0123        bare, when every character is harmless to a shell
    GREETING='good morning'                 single quotes, no escapes
    MIXED="it's \$5"                        double quotes; \\ \" \$ \` are the only escapes

Sorted by name, one variable a line, each line ended. A shell, the mother skill and a strict dotenv reader take
the same value from each form. A value is UTF-8 text without control characters and line separators, because
readers disagree about what these mean; nothing is repaired. Errors name places, never values, and no name
that is not one: people mix the two up when they fill in a form.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from signing.errors import FormatError

MAX_FILE_BYTES: Final = 1 << 16  # what the mother skill reads at most
MAX_NAME_LENGTH: Final = 100

_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]+", re.ASCII)
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\$`]|\\["\\$`])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_NEEDS_ESCAPE: Final = re.compile(r'(["\\$`])')
# Cc also holds what some readers take for the end of a line (U+001C, U+0085); Zl and Zp are such ends.
_REFUSED: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


def is_variable_name(text: str) -> bool:
    """Return whether ``text`` can be the name of a variable."""
    return len(text) <= MAX_NAME_LENGTH and _NAME.fullmatch(text) is not None


def check_value(text: str, *, where: str) -> None:
    """Return None when ``text`` can be the value of a variable.

    Raises:
        FormatError: empty, too long, or with a newline, NUL or another character that readers disagree about.
    """
    if not text:
        raise FormatError("an empty value", where=where, hint="a variable without a value is left out")
    if len(text) > MAX_FILE_BYTES:
        raise FormatError("a value longer than the whole file may be", where=where)
    if any(unicodedata.category(character) in _REFUSED for character in text):
        raise FormatError(
            "a value with a newline, NUL or another control character",
            where=where,
            hint="encode such a secret as base64 in the vault",
        )


def render(variables: Mapping[str, bytes]) -> bytes:
    """Return the file with ``variables``; the same variables are always the same bytes.

    Raises:
        FormatError: a name or value that the form has no spelling for, or more than MAX_FILE_BYTES.
    """
    lines = []
    for number, name in enumerate(sorted(variables), start=1):
        where = f"variable {number}"
        if not is_variable_name(name):
            raise FormatError("not the name of a variable", where=where)
        value = _text_of(variables[name], where=name)
        check_value(value, where=name)
        lines.append(f"{name}={_written(value)}\n")
    content = "".join(lines).encode()
    if len(content) > MAX_FILE_BYTES:
        raise FormatError(f"more than {MAX_FILE_BYTES} bytes of variables", where=".env")
    return content


def parse_text(text: str, *, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and place of every variable in dotenv ``text``, in the strict form.

    Comments and empty lines are allowed; the last line need not end, for such texts are typed into forms.

    Raises:
        FormatError: a line in another form. Its number is named; its text may be a secret.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        place = f"{where}, line {number}"
        name, equals, written = line.partition("=")
        value = _read(written)
        if not equals or not is_variable_name(name) or value is None:
            raise FormatError(
                "not in the strict form NAME=VALUE",
                where=place,
                hint="put single quotes around values with spaces or $; no export, no blanks around =",
            )
        check_value(value, where=place)
        yield name, value, place


def _text_of(value: bytes, *, where: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        # From nothing: the error would carry the value.
        raise FormatError("a value that is not UTF-8", where=where) from None


def _written(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", value) + '"'


def _read(written: str) -> str | None:
    if _BARE.fullmatch(written):
        return written
    if single := _SINGLE.fullmatch(written):
        return single.group(1)
    if double := _DOUBLE.fullmatch(written):
        return _ESCAPED.sub(r"\1", double.group(1))
    return None
