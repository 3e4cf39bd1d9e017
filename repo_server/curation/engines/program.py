"""An engine that is a program (edge): its copy of the files, its limits, and what came of it.

Nothing raises through `ProgramEngine.run`: whatever happens ends as a report. A report with a failure always
holds a finding of severity look, so that nobody can take a silent engine for a content one.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from repo_server.curation.engines.answers import Answer, parse_answer
from repo_server.curation.engines.confinement import Confinement, best_confinement
from repo_server.curation.engines.engine import EngineLimits
from repo_server.curation.limits import Deadline
from repo_server.curation.sources.process import Outcome, Runner
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError, HostError, SkillRepoError, TransportError
from signing.format.digest import Sha256
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.manifest import Mode

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_BY_SIGNAL: Final = 128
_SIGNALS: Final = 65
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class ProgramEngine:
    """An engine that runs as a process of its own.

    Attributes:
        name, version, policy_sha256: see `Engine`.
        argv: the program; the folders to look at are appended.
        readable: folders and files that it needs, besides the system's.
        absence: why it cannot be run, as found on this machine; empty when it can.
        confinement: None for the best that the machine can do.
    """

    name: str
    version: str
    policy_sha256: Sha256
    argv: tuple[str, ...]
    readable: tuple[Path, ...]
    absence: Callable[[], str] = str  # which gives the empty text
    confinement: Confinement | None = None

    def run(self, tree: SourceTree, *, limits: EngineLimits) -> EngineReport:
        """Return what the engine says about ``tree``."""
        return self.run_all([tree], limits=limits)[0]

    def run_all(self, trees: Sequence[SourceTree], *, limits: EngineLimits) -> tuple[EngineReport, ...]:
        """Return what the engine says about each of ``trees``."""
        if absence := self.absence():
            return tuple(self._report(failure=absence, kind="absent") for _ in trees)
        confinement = self.confinement or best_confinement()
        try:
            with _scratch() as scratch:
                reports = self._look(list(trees), scratch, confinement, limits)
        except (OSError, RecursionError) as error:  # a full disk; or it dug folders deeper than can be walked
            return tuple(self._report(failure=f"its folder failed: {type(error).__name__}") for _ in trees)
        if not confinement.cuts_network:
            reports = [self._with(report, self._not_cut()) for report in reports]
        return tuple(reports)

    def _look(
        self, trees: list[SourceTree], scratch: Path, confinement: Confinement, limits: EngineLimits
    ) -> list[EngineReport]:
        try:
            outcome = self._start(trees, scratch, confinement, limits)
        except TransportError:
            failure = f"not finished after {limits.seconds:g} seconds"
        except FormatError:
            failure = f"printed more than {limits.output_bytes} bytes or wrote more than {limits.disk_bytes}"
        except HostError as error:
            failure = f"cannot be started: {error.message}"
        else:
            failure = _how_it_ended(outcome, strip=_stripping(scratch))
            if not failure:
                return self._reports(outcome.output, trees, scratch)
        return [self._report(failure=failure) for _ in trees]

    def _start(
        self, trees: list[SourceTree], scratch: Path, confinement: Confinement, limits: EngineLimits
    ) -> Outcome:
        skills, own = scratch / "skills", scratch / "own"  # which it may only read; which it may fill
        for folder in (skills, own):
            folder.mkdir(mode=0o700)
        folders = [_write(tree, skills / str(number)) for number, tree in enumerate(trees)]
        argv = confinement.around(
            [*self.argv, *map(str, folders)], scratch=own, readable=(*self.readable, skills)
        )
        limited = [str(limits.memory_bytes), str(int(limits.seconds) + 1), str(limits.disk_bytes)]
        runner = Runner(
            folder=scratch,
            environment=_environment(own),
            deadline=Deadline.after(limits.seconds),
            max_disk_bytes=2 * limits.output_bytes + limits.disk_bytes + _size(trees),
        )
        return runner.run(
            [sys.executable, "-I", str(_LAUNCH), *limited, *argv], max_output=limits.output_bytes
        )

    def _reports(self, output: bytes, trees: list[SourceTree], scratch: Path) -> list[EngineReport]:
        lines = output.splitlines()
        if len(lines) != len(trees):
            failure = f"answered {len(lines)} times about {len(trees)} skill{'s' * (len(trees) != 1)}"
            return [self._report(failure=failure) for _ in trees]
        return [self._read(line, tree, scratch) for line, tree in zip(lines, trees, strict=True)]

    def _read(self, line: bytes, tree: SourceTree, scratch: Path) -> EngineReport:
        try:
            answer = parse_answer(line, engine=self.name, tree=tree, strip=_stripping(scratch))
        except SkillRepoError as error:
            return self._report(failure=f"its answer is malformed: {error}")
        return self._report(answer.findings, failure=self._shortcoming(answer))

    def _shortcoming(self, answer: Answer) -> str:
        if answer.version != self.version:
            return f"version {answer.version} ran, {self.version} is pinned: skillrepo engine install {self.name}"
        return f"a part of it failed: {'; '.join(answer.failed)}" if answer.failed else ""

    def _report(
        self, findings: Iterable[Finding] = (), *, failure: str = "", kind: str = "failed"
    ) -> EngineReport:
        failure = excerpt(failure, limit=400)
        report = EngineReport(
            name=self.name,
            version=self.version,
            policy_sha256=self.policy_sha256,
            findings=tuple(findings),
            failure=failure,
        )
        if not failure:
            return report
        message = (
            f"the engine {self.name} gave no complete answer ({failure}); it has not found nothing wrong"
        )
        return self._with(report, self._finding(kind, Severity.LOOK, message))

    def _not_cut(self) -> Finding:
        message = "ran with the network open: this machine has neither bubblewrap nor namespaces for it"
        return self._finding("network-not-cut", Severity.NOTE, message)

    def _finding(self, kind: str, severity: Severity, message: str) -> Finding:
        return Finding(
            check=f"engine.{self.name}.{kind}", severity=severity, path="", line=0, message=message
        )

    @staticmethod
    def _with(report: EngineReport, finding: Finding) -> EngineReport:
        return replace(report, findings=(*report.findings, finding))


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a private folder that is gone afterwards, whatever a program has made in it."""
    folder = Path(tempfile.mkdtemp(prefix="skillrepo-engine-")).resolve()
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder)
        except (OSError, RecursionError):
            # Deeper than a path may be long, or made unreadable: the system's own tools dig by handles.
            for tool in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
                subprocess.run([*tool, "--", str(folder)], capture_output=True, check=False)


def _write(tree: SourceTree, folder: Path) -> Path:
    """Write ``tree`` below ``folder``, which does not exist; nothing is there that could be followed."""
    for path, file in tree.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o755 if file.mode is Mode.EXECUTABLE else 0o644
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
    return folder


def _size(trees: list[SourceTree]) -> int:
    return sum(len(file.content) for tree in trees for file in tree.files.values())


def _environment(home: Path) -> dict[str, str]:
    """Return all variables of the engine: nothing of ours, where tokens and addresses of services may stand."""
    return {
        "PATH": _PATH,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",  # so that a run repeats
    }


def _how_it_ended(outcome: Outcome, *, strip: Callable[[str], str]) -> str:
    if outcome.status == 0:
        return ""
    said = [line for line in strip(outcome.errors).splitlines() if line.strip()]
    last = f": {excerpt(said[-1])}" if said else ""
    # A program around it (bubblewrap) tells of a signal as shells do.
    number = -outcome.status if outcome.status < 0 else outcome.status - _BY_SIGNAL
    how = f"was killed by signal {number}" if 0 < number < _SIGNALS else f"ended with {outcome.status}"
    return f"{how}{last}"


def _stripping(scratch: Path) -> Callable[[str], str]:
    """Return what takes the scratch folder out of a text: it is this machine's, and another one each time."""
    place = re.compile(re.escape(str(scratch)) + r"(?:/skills/[0-9]+/?)?")
    return lambda text: place.sub("", text)
