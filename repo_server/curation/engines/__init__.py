"""Other people's scanners: evidence for a review, never a verdict, and never trusted with anything.

    run_engines(settings, tree, note=…) -> tuple[EngineReport, …]     one for each configured engine, always

An engine is a program with its own environment, pinned by a lock with hashes. It gets a copy of the files in a
private folder, a time limit, a memory limit, no network where the system can cut it, and none of our variables. What it prints
is parsed as what a stranger prints. It may crash, hang, babble or be missing: that is written into the report,
and is itself a finding that somebody must look at. Nothing it does raises through.

A new engine is one folder beside ``cisco`` (a driver, a lock) and one line in `catalogue`.
"""

import time
from collections.abc import Callable

from repo_server.curation.engines.catalogue import engine_named
from repo_server.curation.engines.engine import Engine, EngineLimits
from repo_server.curation.engines.settings import EngineSettings
from repo_server.curation.tree import SourceTree
from signing.format.finding import EngineReport

__all__ = ["Engine", "EngineLimits", "EngineSettings", "engine_named", "run_engines"]


def run_engines(
    settings: EngineSettings, tree: SourceTree, *, note: Callable[[str], None]
) -> tuple[EngineReport, ...]:
    """Return what every configured engine says about ``tree``; what fails is in its report.

    Args:
        settings: which engines, where they are installed, how long they may take.
        tree: the files.
        note: is told what goes on meanwhile.

    Raises:
        NotFoundError: the settings name an engine that nobody here knows.
    """
    reports = []
    for name in settings.use:
        engine = engine_named(name, settings)
        note(f"engine {name} {engine.version} is looking (at most {settings.limits.seconds:g} seconds)")
        begun = time.monotonic()
        report = engine.run(tree, limits=settings.limits)
        took = f"{time.monotonic() - begun:.0f} s"
        said = f"failed: {report.failure}" if report.failure else f"{len(report.findings)} findings"
        note(f"engine {name}: {said}, {took}")
        reports.append(report)
    return tuple(reports)
