"""What a proof has seen: one line for each thing that held, and what it was seen by (pure).

    {"schema": "https://skills.clawdie.si/schema/first-proof/v1", "verdict": "passed", "tenant": …, "settings": …,
     "steps": [{"step": "secrets", "at": …, "milliseconds": …, "held": […], "facts": {…}}, …], "audit": {…}}

Canonical JSON; digests and names, never the value of a secret. A proof that did not pass gives no document.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from signing.errors import HostError, SkillRepoError
from signing.format.canonical import canonical
from signing.format.moment import render_moment

SCHEMA: Final = "https://skills.clawdie.si/schema/first-proof/v1"


@dataclass(slots=True, kw_only=True)
class Step:
    """One step: what held in it."""

    name: str
    at: datetime
    held: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    took: timedelta = timedelta()

    def holds(self, what: str, truth: bool) -> None:  # noqa: FBT001 - it is about nothing else
        """Write down that ``what`` is so.

        Raises:
            HostError: it is not.
        """
        if not truth:
            raise HostError(
                f"this does not hold: {what}", hint="mend it before a tenant lives here; then prove again"
            )
        self.held.append(what)

    def to_json(self) -> dict[str, Any]:
        """Return the step as the document shows it."""
        return {
            "step": self.name,
            "at": render_moment(self.at),
            "milliseconds": max(
                0, self.took // timedelta(milliseconds=1)
            ),  # a clock may be set back meanwhile
            "held": list(self.held),
            "facts": dict(self.facts),
        }


@dataclass(slots=True, kw_only=True)
class Evidence:
    """The steps of one proof so far."""

    clock: Callable[[], datetime]
    began: datetime
    steps: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Yield the next step; an error that leaves it says which one it was (``facts["step"]``)."""
        step = Step(name=name, at=self.clock())
        try:
            yield step
        except SkillRepoError as error:
            error.facts.setdefault("step", name)
            raise
        step.took = self.clock() - step.at
        self.steps.append(step)

    def document(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole of a proof that passed; ``about`` says whose and where."""
        return {
            "schema": SCHEMA,
            "verdict": "passed",
            "began": render_moment(self.began),
            "ended": render_moment(self.clock()),
            **about,
            "steps": [step.to_json() for step in self.steps],
        }


def render(document: Mapping[str, Any]) -> bytes:
    """Return the document as it is kept: the same evidence is always the same bytes."""
    return canonical(dict(document))
