"""Everything that a review shows, as one value: no database, no clock, nothing left to look up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from repo_server.curation.tree import SourceTree
from repo_server.curation.waiving import is_waivable
from signing.format.digest import Sha256
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.names import ReleaseVersion
from signing.format.review import Candidate, Review, Waiver
from signing.format.surface import Surface, SurfaceChange, digest_of_changes

# What a reader must not miss first: orders to the agent, secrets and files of others, then where things may go.
KINDS_BY_WEIGHT: Final = (
    *("instructions", "env_names", "paths_read", "paths_written", "hosts", "commands", "packages"),
    *("executables", "tools", "runtimes", "urls", "file_types"),
)


@dataclass(frozen=True, kw_only=True)
class ReviewPage:
    """What is shown about one candidate.

    Attributes:
        name, version: as it is to be published; for a bare folder its name, and no version.
        candidate, state, kind: of the candidate; empty for a bare folder.
        provenance: where the files came from.
        engines: all reports, also of those that failed.
        surface, changes: what it may touch, and how that differs from ``previous``.
        old, new: the files of ``previous`` (None: nothing was published) and of the candidate.
        reviews: the decisions so far, with their waivers.
        earlier_waivers: of the version before, whose findings are here again. They answer for nothing here.
        now: when it is shown; waivers that ended before that answer for nothing. None: no waiver counts.
    """

    name: str
    version: str
    candidate: str = ""
    state: str = ""
    kind: str = ""
    provenance: Candidate
    engines: tuple[EngineReport, ...]
    surface: Surface
    changes: tuple[SurfaceChange, ...]
    previous: ReleaseVersion | None
    old: SourceTree | None
    new: SourceTree
    reviews: tuple[Review, ...] = ()
    earlier_waivers: tuple[Waiver, ...] = ()
    now: datetime | None = None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first, then in the order of files and lines."""
        order = list(Severity)
        found = [finding for engine in self.engines for finding in engine.findings]
        return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.path, f.line, f.check, f.id)))

    @cached_property
    def waivers(self) -> Mapping[str, Waiver]:
        """Who answers for which finding, by its id, at the time of showing."""
        return {
            waiver.finding: waiver
            for review in self.reviews
            if review.candidate.tree_sha256 == self.provenance.tree_sha256  # about these files, not others
            for waiver in review.waivers
            if self.now is not None and waiver.until > self.now
        }

    @cached_property
    def earlier(self) -> Mapping[str, Waiver]:
        """The waivers of the version before, by finding."""
        return {waiver.finding: waiver for waiver in self.earlier_waivers}

    @cached_property
    def standing(self) -> tuple[Finding, ...]:
        """The blocking findings that nobody answers for."""
        return tuple(f for f in self.findings if f.severity is Severity.BLOCK and f.id not in self.waivers)

    def waiver_option(self, finding: Finding) -> str:
        """Return the option that answers for ``finding``; empty where nothing can, or nothing needs to."""
        decidable = bool(self.candidate) and finding.severity is Severity.BLOCK
        if not decidable or not is_waivable(finding):
            return ""
        return f"--waive {finding.id}='why it is acceptable'"

    @property
    def failed(self) -> tuple[EngineReport, ...]:
        """The engines that did not run to their end."""
        return tuple(engine for engine in self.engines if engine.failure)

    @property
    def acknowledgement(self) -> Sha256 | None:
        """The digest by which an approval acknowledges the changes; None when there is nothing to compare."""
        return digest_of_changes(self.changes) if self.previous is not None and self.changes else None

    def count(self, severity: Severity) -> int:
        """Return how many findings weigh that much."""
        return sum(finding.severity is severity for finding in self.findings)

    def by_kind(self, *, added: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the kinds of the surface in which something came (or went), the weightiest first."""
        for kind in KINDS_BY_WEIGHT:
            entries = tuple(c.entry for c in self.changes if c.kind == kind and c.added is added)
            if entries:
                yield kind, entries

    def verdict(self) -> str:
        """Return the state of things in one sentence."""
        if count := len(self.standing):
            return (
                f"{count} blocking finding{_s(count)} stand{'s' * (count == 1)}: change the skill, "
                f"or answer for {'it' if count == 1 else 'each'} in writing"
            )
        if self.failed:
            return "Nothing blocks, but not every engine ran to its end"
        if count := self.count(Severity.LOOK):
            return f"Nothing blocks; {count} place{_s(count)} to look at before deciding"
        return "Nothing blocks and nothing stands out: read what changed, and decide"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
