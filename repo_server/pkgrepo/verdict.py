"""What was found out about a repository: a verdict that a person and a program understand.

    {"repository": "…", "accepted": false,
     "problems": [{"code": "digest-mismatch", "severity": "error", "where": "All/x-1.pkg", "message": "…", "hint": "…"}],
     "facts": {…}}

Codes are those of our errors (`signing.errors`). One problem of the severity ``error`` refuses a repository; a
``warning`` does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Final

from signing.errors import FormatError, NotFoundError, RejectedError, SkillRepoError

MAX_PROBLEMS: Final = 1_000


class Severity(StrEnum):
    """Whether a problem refuses."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it has to be."""

    code: str
    severity: Severity
    where: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: SkillRepoError, *, where: str, severity: Severity = Severity.ERROR) -> "Problem":
        """Return the problem that ``error`` is; ``where`` counts when the error does not say."""
        return cls(
            code=error.code,
            severity=severity,
            where=error.where or where,
            message=error.message,
            hint=error.hint,
        )

    def to_json(self) -> dict[str, str]:
        """Return the problem as ``--json`` has it."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "where": self.where,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a repository is good, why not, and what it is."""

    repository: str
    problems: tuple[Problem, ...]
    facts: Mapping[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether nothing refuses it."""
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse it."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def malformed_only(self) -> bool:
        """Whether it is refused for its form alone: nobody was found to have changed anything."""
        return bool(self.errors) and all(problem.code == FormatError.code for problem in self.errors)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as ``--json`` has it."""
        return {
            "repository": self.repository,
            "accepted": self.accepted,
            "problems": [problem.to_json() for problem in self.problems],
            "facts": dict(self.facts),
        }


class Findings:
    """Problems, while they are collected. What stops us from looking at all is raised on."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def at(self, where: str) -> "_Place":
        """Turn a refusal inside ``with`` into a problem at ``where``, and go on behind it."""
        return _Place(self, where)

    def add(self, error: SkillRepoError, *, where: str, severity: Severity = Severity.ERROR) -> None:
        """Remember a problem. Beyond `MAX_PROBLEMS` there is nothing to be learnt from another."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem.of(error, where=where, severity=severity))


class _Place:
    """What `Findings.at` returns."""

    def __init__(self, findings: Findings, where: str) -> None:
        self._findings, self._where = findings, where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, RejectedError | NotFoundError):
            return False  # a host or a server that fails says nothing about the repository
        self._findings.add(error, where=self._where)
        return True
