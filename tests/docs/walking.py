"""Commands and answers of a page, as they stand there, and one shell that types them.

    $ for gate in dpia dpa; do                 a command
    >   hive gates …                             "> " continues it, as a shell shows it; so does a line after a backslash
    > done
    registered acme  …  support==1             what has to be seen: "…" is any text
    …                                          any lines

Blank runs count as one blank: a page may break a column.
"""

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_ANY = "…"


@dataclass(frozen=True)
class Typed:
    command: str
    seen: tuple[str, ...]


def section_of(page: Path, heading: str) -> str:
    """The text below the heading, down to the next one of the same rank."""
    rank = heading.partition(" ")[0]
    return page.read_text().split(f"{heading}\n")[1].split(f"\n{rank} ")[0]


def typed_in(text: str, prompt: str = "$ ") -> list[Typed]:
    """The commands of all console blocks in order, each with the lines that stand below it."""
    found: list[tuple[list[str], list[str]]] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith(prompt):
                found.append(([line.removeprefix(prompt)], []))
            elif not found[-1][1] and (line.startswith("> ") or found[-1][0][-1].endswith("\\")):
                found[-1][0].append(line.removeprefix("> "))
            else:
                found[-1][1].append(line)
    return [Typed("\n".join(command), tuple(seen)) for command, seen in found]


def differences(typed: Typed, said: str) -> list[str]:
    """The lines of the page that were not seen, in their order."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    missing, at = [], 0
    for wanted in (" ".join(line.split()) for line in typed.seen if line.strip() not in {"", _ANY}):
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split(_ANY)))
        here = next((n for n in range(at, len(lines)) if pattern.fullmatch(lines[n])), None)
        if here is None:
            missing.append(wanted)
        else:
            at = here + 1
    return missing


def walk(
    typed: Iterable[Typed],
    *,
    begin: tuple[str, ...] = (),
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float,
) -> tuple[int, list[str], str]:
    """Type everything into one bash; return its status, what each command said, and all of it for people."""
    commands = list(typed)
    lines = ["set -eu -o pipefail", "exec 2>&1", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, one in enumerate(commands):
        lines += [f"echo '@@{number}@@'", one.command]
    done = subprocess.run(
        [*begin, "bash", "-c", "\n".join(lines)],
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    pieces = re.split(r"(?m)^@@[0-9]+@@\n", done.stdout)[1:]
    said = [piece for _, piece in zip_longest(commands, pieces, fillvalue="")]
    return done.returncode, said, done.stdout + done.stderr
