"""Examining a candidate: everything that a curator looks at before deciding.

The files are read back from their digests, the last published version from the signed metadata and not from the
database, and the two are compared twice: as text, and by what they may touch. Engines have run before (they
take their time); their reports come in as values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from repo_server.attesting.upstream import identity_findings
from repo_server.curation.candidates import load_tree, observations_of, pin_of, provenance_of, resolved_of
from repo_server.curation.checks import ParsedSkill, report_on, surface_of, surface_on
from repo_server.curation.diff import diff_trees
from repo_server.curation.history import HistoryFacts, history_findings, tree_findings
from repo_server.curation.tree import SourceTree
from repo_server.curation.withdrawn import predecessor_findings, withdrawn_findings, withdrawn_releases
from repo_server.db.models import CandidateRow
from repo_server.publishing.origins import (
    History,
    Published,
    last_of,
    load_published_review,
    whole_history,
)
from repo_server.publishing.withdrawals import in_force
from repo_server.repository import Repository
from signing.errors import NotFoundError
from signing.format.archive import read_bundle
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.manifest import Mode
from signing.format.names import ReleaseVersion
from signing.format.review import Candidate, Review, Waiver
from signing.format.statement import Statement
from signing.format.surface import Surface, SurfaceChange, compare_surfaces, digest_of_changes
from signing.format.withdrawal import Withdrawal


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Everything that a curator looks at before deciding.

    ``previous`` is the last published version that is neither revoked nor quarantined; ``surface_changes`` compares with
    it, and with nothing when there is none;
    ``engines`` are all reports, ``reports`` those of them that engines made; ``earlier_waivers`` are those of the
    last published version whose findings are here again.
    """

    row: CandidateRow
    tree: SourceTree
    old_tree: SourceTree | None
    engines: tuple[EngineReport, ...]
    reports: tuple[EngineReport, ...]
    surface: Surface
    previous: ReleaseVersion | None
    surface_changes: tuple[SurfaceChange, ...]
    earlier_waivers: tuple[Waiver, ...] = ()

    @cached_property
    def text_diff(self) -> str:
        """What changed in the files, as text that is safe to look at."""
        return diff_trees(self.old_tree, self.tree)

    @property
    def own_reports(self) -> tuple[EngineReport, ...]:
        """What our own checks, the source and history say: the same on every machine that has the same state."""
        return tuple(report for report in self.engines if report not in self.reports)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first."""
        order = list(Severity)
        found = [finding for engine in self.engines for finding in engine.findings]
        return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))

    @property
    def acknowledgement(self) -> Sha256 | None:
        """The digest that an approval must acknowledge; None when there is no change to a published version."""
        if self.previous is None or not self.surface_changes:
            return None
        return digest_of_changes(self.surface_changes)

    def to_json(self) -> dict[str, Any]:
        """Return the examination as ``skillrepo review --json`` answers it."""
        return {
            "candidate": self.row.id,
            "name": self.row.name,
            "version": self.row.version,
            "kind": self.row.kind,
            "state": self.row.state,
            "provenance": provenance_of(self.row).to_json(),
            "findings": [finding.to_json() for finding in self.findings],
            "engines": [
                {key: value for key, value in engine.to_json().items() if key != "findings"}
                for engine in self.engines
            ],
            "surface": self.surface.to_json(),
            "previous": self.previous,
            "surface_changes": [change.to_json() for change in self.surface_changes],
            "acknowledgement": self.acknowledgement,
            "diff": self.text_diff,
        }


def examine(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    *,
    reports: Sequence[EngineReport] = (),
    history: History | None = None,
) -> Examination:
    """Run the checks on a candidate and compare it with what was published last, and is not revoked or quarantined.

    ``reports`` are what engines found in its files. ``history`` is what it is compared with: everything, by default.

    Raises:
        RejectedError, NotFoundError: files or history are not what they were.
    """
    tree = load_tree(repository, row)
    pin = pin_of(row)
    history = history or whole_history(repository, session)
    released = history.released
    withdrawals = in_force(repository, session)
    gone = withdrawn_releases(released, pin.name, withdrawals)
    release = last_of((item for item in released if item not in gone), pin.name)
    old_tree = published_tree(repository, release) if release is not None else None
    last = load_published_review(repository, release) if release is not None else None
    skill = ParsedSkill.of(tree, name=pin.name, strict=True)
    surface = surface_on(skill)
    changes = compare_surfaces(surface_of(old_tree) if old_tree is not None else Surface(), surface)
    others = sorted(history.names - {pin.name})
    checks = report_on(skill, known_names=others)
    source = EngineReport(
        name=f"source-{row.source}", version="1", policy_sha256=sha256_of(b""), findings=observations_of(row)
    )
    compared = EngineReport(
        name="skillrepo-history",
        version="2",
        policy_sha256=sha256_of(b""),
        findings=(
            *_history(row, last),
            *withdrawn_findings(pin, f"{row.source}:{row.publisher}", withdrawals),
            *_of_predecessors(repository, row, gone, release),
            *tree_findings(new=tree, old=old_tree, growing=any(change.added for change in changes)),
        ),
    )
    engines = (checks, source, compared, *reports)
    return Examination(
        row=row,
        tree=tree,
        old_tree=old_tree,
        engines=engines,
        reports=tuple(reports),
        surface=surface,
        previous=release.release.pin.version if release is not None else None,
        surface_changes=changes,
        earlier_waivers=_earlier_waivers(last, engines),
    )


def published_tree(repository: Repository, item: Published) -> SourceTree:
    """Return the files of a published release, by the signed metadata.

    Raises:
        NotFoundError, DigestMismatchError, FormatError: the archive is not here as it was signed.
    """
    bundle = read_bundle(repository.blobs.load(item.release.bundle_sha256))
    return SourceTree.of(
        (entry.path, bundle.contents[entry.path], entry.mode is Mode.EXECUTABLE)
        for entry in bundle.manifest.files
    )


def load_review(repository: Repository, row: CandidateRow) -> tuple[Envelope, Review]:
    """Return the stored review of a candidate.

    Raises:
        NotFoundError: it was not reviewed yet.
        FormatError, WrongSubjectError: the stored review is not about this candidate.
    """
    if row.review_sha256 is None or row.bundle_sha256 is None or row.bundle_tree_sha256 is None:
        raise NotFoundError(f"candidate {row.id} was not reviewed yet", hint=f"skillrepo review {row.id}")
    envelope = Envelope.parse(repository.blobs.load(Sha256(row.review_sha256)), where="review")
    review = Review.from_statement(
        Statement.parse(envelope.payload),
        pin=pin_of(row),
        bundle_sha256=Sha256(row.bundle_sha256),
        tree_sha256=Sha256(row.bundle_tree_sha256),
    )
    return envelope, review


def describe(row: CandidateRow) -> dict[str, Any]:
    """Return a candidate as ``--json`` answers list it."""
    return {
        "candidate": row.id,
        "state": row.state,
        "name": row.name,
        "version": row.version,
        "kind": row.kind,
        "source": row.source,
        "address": row.address,
        "resolved": resolved_of(row),
        "tree_sha256": row.tree_sha256,
    }


def _of_predecessors(
    repository: Repository,
    row: CandidateRow,
    gone: Mapping[Published, Withdrawal],
    release: Published | None,
) -> Iterator[Finding]:
    """Yield the findings about withdrawn releases of the same name."""
    same = [
        item
        for item in gone
        if load_published_review(repository, item).candidate.tree_sha256 == row.tree_sha256
    ]
    previous = release.release.pin.version if release is not None else None
    return predecessor_findings(gone, same_files=same, previous=previous)


def _history(row: CandidateRow, last: Review | None) -> tuple[Finding, ...]:
    """Return what differs from the last published version apart from the files: version, source, signer, licence."""
    new = provenance_of(row)
    old = _history_facts(last.pin.version, last.candidate) if last is not None else None
    return (
        *history_findings(new=_history_facts(ReleaseVersion(row.version), new), old=old),
        *identity_findings(new.resolved, last.candidate.resolved if last is not None else None),
    )


def _history_facts(version: ReleaseVersion, known: Candidate) -> HistoryFacts:
    return HistoryFacts(
        version=version,
        source=known.source,
        address=known.address,
        publisher=known.publisher,
        licence=known.licence,
        resolved=known.resolved,
    )


def _earlier_waivers(last: Review | None, engines: Sequence[EngineReport]) -> tuple[Waiver, ...]:
    """Return the waivers of the last published version that answer for findings which are here again."""
    blocking = {f.id for engine in engines for f in engine.findings if f.severity is Severity.BLOCK}
    return tuple(waiver for waiver in last.waivers if waiver.finding in blocking) if last is not None else ()
