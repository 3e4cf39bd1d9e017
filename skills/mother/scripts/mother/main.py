"""One place that turns errors into answers and exit statuses.

    identity                        who I am, from SOUL.md and the lock record
    secrets                         is my environment file whole and mine alone? names only
    register                        tell the hive what I can do
    heartbeat                       tell the hive that I live; learn whether I may work
    poll [--once] -- COMMAND ...    claim a job, run COMMAND with it, answer
    run -- COMMAND ...              all of it, until SIGTERM

Exit status: 0 done, 2 usage, 3 not found, 5 unreachable, 7 secret not available, 10 malformed, 11 not verified,
12 not allowed, 130 interrupted, 1 a bug here.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path

from mother.commands import COMMANDS
from mother.errors import MotherError
from mother.options import parse
from mother.talk import answer, say

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        options = parse(arguments)
        return COMMANDS[options.verb](options)
    except MotherError as problem:
        return _refuse(problem)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        say("nobody reads the answers any more")
        # What could not be written is not tried again at the very end, where it would be complained about.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return INTERRUPTED
    except Exception as problem:  # noqa: BLE001 - a traceback could quote a value; its kind and place cannot
        frame, line = list(traceback.walk_tb(problem.__traceback__))[-1]
        place = f"{Path(frame.f_code.co_filename).name}, line {line}"
        return _refuse(
            MotherError(
                f"a bug in mother: {type(problem).__name__}, noticed in {place}", hint="tell the operator"
            )
        )


def _refuse(problem: MotherError) -> int:
    say(f"error[{problem.code}]: {problem}")
    if problem.hint:
        say(problem.hint, by="hint: ")
    with contextlib.suppress(OSError):  # nobody may be reading any more
        answer(ok=False, error={"code": problem.code, "message": str(problem), "hint": problem.hint})
    return problem.exit_status
