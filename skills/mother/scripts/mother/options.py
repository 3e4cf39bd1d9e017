"""The command line: what stands before the two hyphens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mother.errors import UsageError
from mother.identity import LOCK_RECORD
from mother.pace import BACKOFF_FIRST

MOST_OUTPUT = 768 * 1024  # bytes, so that an answer fits into what the hive reads
VERBS = {
    "identity": "print who this agent is",
    "secrets": "check the environment file; print names only",
    "register": "tell the hive what this agent can do",
    "heartbeat": "tell the hive that this agent lives",
    "poll": "claim work and run the command after -- with it",
    "run": "register, then heartbeat and poll until SIGTERM",
}
WORKING = frozenset({"poll", "run"})
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?", re.ASCII)
_BYTES = re.compile(r"[0-9]{1,6}", re.ASCII)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `command` holds what stands after the two hyphens.

    Raises:
        UsageError: they cannot be understood.
    """
    head, tail = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        head, tail = arguments[:at], arguments[at + 1 :]
    options = _parser().parse_args(head)
    if tail and options.verb not in WORKING:
        raise UsageError(f"{options.verb} takes no command")
    if options.verb in WORKING and not tail:
        raise UsageError(
            "no command is given", hint="put it after two hyphens: poll --once -- COMMAND ARGUMENT"
        )
    options.command = tail
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mother", allow_abbrev=False, description="The first routine of an agent in its jail."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in VERBS.items():
        one = verbs.add_parser(verb, help=text, description=text, allow_abbrev=False)
        if verb != "secrets":
            _add_identity(one)
        if verb not in {"identity", "secrets"}:
            _add_hive(one)
        if verb in WORKING:
            _add_work(one)
        if verb == "poll":
            one.add_argument("--once", action="store_true", help="take at most one job")
    return parser


def _add_identity(one: argparse.ArgumentParser) -> None:
    one.add_argument("--lock", type=Path, default=LOCK_RECORD, help="lock record (default: %(default)s)")


def _add_hive(one: argparse.ArgumentParser) -> None:
    one.add_argument("--timeout", type=_seconds(60), default=10.0, help="seconds for one request (10)")
    one.add_argument("--capability", action="append", default=[], help="offer only these of the granted ones")


def _add_work(one: argparse.ArgumentParser) -> None:
    one.add_argument("--wait", type=_seconds(60), default=20.0, help="seconds to wait for a job (20)")
    one.add_argument("--time-limit", type=_seconds(86_400), default=600.0, help="seconds for one job (600)")
    one.add_argument(
        "--output-limit", type=_size, default=256 * 1024, help="bytes of one job's output (262144)"
    )
    one.add_argument(
        "--backoff", type=_seconds(60), default=BACKOFF_FIRST, help="first pause after a failure (1)"
    )


def _seconds(most: float) -> Callable[[str], float]:
    """Return a reader for a number of seconds above 0 and up to ``most``."""

    def read(text: str) -> float:
        if not _SECONDS.fullmatch(text) or not 0 < float(text) <= most:
            raise argparse.ArgumentTypeError(f"not a number of seconds above 0 and up to {most:g}")
        return float(text)

    return read


def _size(text: str) -> int:
    """Return a number of bytes from 1 to `MOST_OUTPUT`."""
    if not _BYTES.fullmatch(text) or not 1 <= int(text) <= MOST_OUTPUT:
        raise argparse.ArgumentTypeError(f"not a number of bytes from 1 to {MOST_OUTPUT}")
    return int(text)
