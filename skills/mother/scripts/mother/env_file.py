"""The environment file: the host puts it here, this program checks it. Names may be shown, values may not.

Each line is empty, a comment that starts with '#', or NAME=VALUE, and the last line ends. A value is bare text of
harmless characters, 'single quotes' with no escapes, or "double quotes" with only the escapes that a POSIX shell
knows there. All three mean the same to a shell and to this program.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from mother.endpoint import URL_NAME, parse_endpoint
from mother.errors import DamagedError, SecretError
from mother.files import read_regular

SECRETS_NAME = ".env"
BEARER_NAME = "HIVE_TOKEN"
MAX_SECRETS_FILE = 1 << 16  # bytes
MINE_ALONE = 0o600

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]*", re.ASCII)
_SINGLE = re.compile(r"'([^'\x00-\x1f\x7f]*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`\x00-\x1f\x7f]|\\["\\$`])*)"')
_BEARER = re.compile(r"[\x21-\x7e]{1,1024}", re.ASCII)


def load_secrets(home: Path) -> dict[str, str]:
    """Return the variables, if the file is safe: regular, mode 0600, mine, one link, strict, complete.

    Raises:
        SecretError: the file is missing, unsafe or lacks a needed name.
        DamagedError: it is not in the strict form.
        NotAllowedError: it names an address that a token is not trusted to.
    """
    data, facts = read_regular(home / SECRETS_NAME, limit=MAX_SECRETS_FILE, error=SecretError)
    _check_mine_alone(facts)
    variables = parse_variables(data)
    missing = [name for name in (URL_NAME, BEARER_NAME) if not variables.get(name)]
    if missing:
        raise SecretError(
            f"{SECRETS_NAME} lacks {' and '.join(missing)}", hint="ask the operator to provision again"
        )
    if not _BEARER.fullmatch(variables[BEARER_NAME]):
        raise DamagedError(f"{BEARER_NAME} holds characters that cannot stand in a header")
    parse_endpoint(variables[URL_NAME])
    return variables


def parse_variables(data: bytes) -> dict[str, str]:
    """Return the variables of an environment file in the strict form.

    Errors name a line by its number only, because its text may be a secret.

    Raises:
        DamagedError: another form; a file that was cut short too.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedError(f"{SECRETS_NAME} is not UTF-8 text") from None
    if text and not text.endswith("\n"):
        raise DamagedError(
            f"the last line of {SECRETS_NAME} does not end", hint="it may be cut short; ask the operator"
        )
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, written = line.partition("=")
        value = parse_value(written)
        if not equals or not _VARIABLE.fullmatch(name) or value is None or name in found:
            raise DamagedError(
                f"line {number} of {SECRETS_NAME} is not in the strict form NAME=VALUE, or repeats a name",
                hint="ask the operator to provision again; do not repair it by hand",
            )
        found[name] = value
    return found


def parse_value(text: str) -> str | None:
    """Return the value written as ``text``, or None if it is in none of the three accepted forms."""
    if _BARE.fullmatch(text):
        return text
    if single := _SINGLE.fullmatch(text):
        return single.group(1)
    if double := _DOUBLE.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", double.group(1))
    return None


def _check_mine_alone(facts: os.stat_result) -> None:
    mode = stat.S_IMODE(facts.st_mode)
    unsafe = (
        [f"its mode is {mode:04o}, not 0600"] * (mode != MINE_ALONE)
        + ["it belongs to another user"] * (facts.st_uid != os.geteuid())
        + ["it has more than one name (hard links)"] * (facts.st_nlink != 1)
    )
    if unsafe:
        raise SecretError(
            f"{SECRETS_NAME} is not safe: {'; '.join(unsafe)}",
            hint="treat its secrets as seen by others; ask the operator to rotate them",
        )
