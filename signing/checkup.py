"""What a check says, and how all are made: one that cannot be made is bad, and none is passed over.

    def check_abi(host: Host) -> Iterator[Said]:
        yield ok("FreeBSD:14:amd64")

A check yields at least one thing. What it yields holds no secret: it is printed, mailed, and pasted into tickets.
"""

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from signing.errors import HostError, SkillRepoError

_LOOK: Final = "mend what it says, then look again"
_Host = TypeVar("_Host")


class Outcome(enum.StrEnum):
    """How one thing stands. ``warn``: it works, and somebody should know; ``bad``: it does not, or is not safe."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that a check says, and how it is mended when it is not well."""

    outcome: Outcome
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was said, and by which check."""

    check: str
    said: Said

    def to_json(self) -> dict[str, str]:
        """Return it as ``--json`` answers it."""
        return {
            "check": self.check,
            "outcome": self.said.outcome.value,
            "says": self.said.says,
            "fix": self.said.fix,
        }


def ok(says: str) -> Said:
    """Say that something is well."""
    return Said(outcome=Outcome.OK, says=says)


def warn(says: str, fix: str) -> Said:
    """Say that somebody should know of something."""
    return Said(outcome=Outcome.WARN, says=says, fix=fix)


def bad(says: str, fix: str) -> Said:
    """Say that something does not work, or is not safe."""
    return Said(outcome=Outcome.BAD, says=says, fix=fix)


def could_not(error: Exception) -> Said:
    """Say that a check could not be made, which is never "well".

    Of an error that is none of ours only the kind is told: its text may hold anything.
    """
    if isinstance(error, SkillRepoError):
        where = f" ({error.where})" if error.where and error.where not in str(error) else ""
        return bad(f"{error.code}: {error}{where}", error.hint or _LOOK)
    if isinstance(error, OSError):
        return bad(f"cannot be looked at: {error.strerror or type(error).__name__}", "run this as root")
    return bad(f"the check failed: {type(error).__name__}", "this is a bug of ours: report it")


def examine(checks: Mapping[str, Callable[[_Host], Iterable[Said]]], host: _Host) -> tuple[Result, ...]:
    """Make every check and return what they say, in order; each says at least one thing."""
    results: list[Result] = []
    for name, check in checks.items():
        said: list[Said] = []
        try:
            said.extend(check(host))
        except Exception as error:  # noqa: BLE001 - whatever keeps a check from being made is what is to be told
            said.append(could_not(error))
        if not said:
            said.append(bad("the check said nothing", "this is a bug of ours: report it"))
        results += [Result(check=name, said=one) for one in said]
    return tuple(results)


def summed_up(found: Sequence[Result], *, not_made: str, quiet: bool) -> tuple[dict[str, Any], str, bool]:
    """Return what was found as ``--json`` answers it, for people, and whether nothing is bad.

    Args:
        found: what the checks said.
        not_made: what to say of checks that were not made at all; nothing when all were.
        quiet: whether only what is not well is said.
    """
    counts = Counter(result.said.outcome for result in found)
    shown = [result for result in found if not quiet or result.said.outcome is not Outcome.OK]
    sums = {outcome.value: counts[outcome] for outcome in Outcome}
    well = not counts[Outcome.BAD]
    document: dict[str, Any] = {
        "ok": well,
        "counts": sums,
        "checks": [result.to_json() for result in shown],
    }
    if not well:
        document["error"] = HostError(f"{counts[Outcome.BAD]} checks are bad").to_document()
    lines = [line for result in shown for line in _lines(result)]
    if not quiet or lines:
        lines.append(", ".join(f"{number} {name}" for name, number in sums.items()))
    return document, "\n".join([*lines, *([not_made] if not_made else [])]), well


def _lines(result: Result) -> list[str]:
    said = result.said
    name = said.outcome.value if said.outcome is Outcome.OK else said.outcome.value.upper()
    lines = [f"{name:5} {result.check:10} {said.says}"]
    return [*lines, f"{'':16} → {said.fix}"] if said.fix else lines
