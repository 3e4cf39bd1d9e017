"""What an engine is: something with a name, a pinned version and a policy that reads a tree and reports.

The driver of an engine prints one JSON object on one line for each folder that it is given:

    {"version": "2.3.2",
     "findings": [{"rule": "PIPELINE_TAINT_FLOW", "severity": "LOW", "path": "SKILL.md", "line": 1,
                   "message": "…", "excerpt": "…"}],
     "failed": ["what did not run to its end"]}
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from repo_server.curation.tree import SourceTree
from signing.format.digest import Sha256
from signing.format.finding import EngineReport


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much one run may take: seconds of the clock, memory of each process, what it prints and writes."""

    seconds: float = 120
    memory_bytes: int = 2 << 30
    output_bytes: int = 8 << 20
    disk_bytes: int = 64 << 20


class Engine(Protocol):
    """A scanner of somebody else's."""

    @property
    def name(self) -> str:
        """The name in settings, reports and the ids of its findings."""

    @property
    def version(self) -> str:
        """The pinned version."""

    @property
    def policy_sha256(self) -> Sha256:
        """The digest of everything that decides what it finds: lock, driver, options."""

    def run(self, tree: SourceTree, *, limits: EngineLimits) -> EngineReport:
        """Return what it says about ``tree``; a failure is in the report and never raised."""

    def run_all(self, trees: Sequence[SourceTree], *, limits: EngineLimits) -> tuple[EngineReport, ...]:
        """Return what it says about each of ``trees``, started once: starting can take longer than looking."""


EngineMaker = Callable[[Path], Engine]  # from the folder in which engines are installed
