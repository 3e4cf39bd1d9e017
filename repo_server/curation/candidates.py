"""Candidates: what was brought in, kept by content, servable to nobody.

    staged ─► reviewed ─► signed ─► published
       └─────────┴───────────┴────► rejected ─► staged, when it is imported again

A candidate's id is the digest of what it is and where it came from, so importing the same thing again gives
the same candidate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.curation.tree import Entry, SourceTree
from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState, ReleaseRow
from repo_server.publishing.proposals import drop_proposals
from repo_server.repository import Repository
from signing.errors import ConflictError, DigestMismatchError, FormatError, NotFoundError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.manifest import Kind, Mode
from signing.format.names import Pin, ReleaseVersion, SkillName, version_key
from signing.format.review import Candidate, Finding, Severity

_LOCAL: Final = frozenset({"folder", "archive"})
_ENDED: Final = frozenset({CandidateState.PUBLISHED.value, CandidateState.REJECTED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a tree came from."""

    source: str
    address: str
    resolved: Mapping[str, str]
    publisher: str
    licence: str
    observations: tuple[Finding, ...]


def stage(
    repository: Repository,
    session: Session,
    tree: SourceTree,
    *,
    pin: Pin,
    kind: Kind,
    origin: Origin,
    now: datetime,
) -> CandidateRow:
    """Keep ``tree`` as a candidate for ``pin`` and return it.

    Raises:
        ConflictError: this version is published with other files.
    """
    digest = tree.digest
    _check_not_published(session, pin, digest)
    candidate_id = _identity(pin.name, pin.version, kind.value, digest, origin.source, origin.address)
    facts = {"candidate": candidate_id, "pin": str(pin), "address": origin.address, "tree_sha256": digest}
    row = session.get(CandidateRow, candidate_id)
    if row is not None and row.state == CandidateState.PUBLISHED:
        return row
    known = row is not None
    before = _said(row) if row is not None else None
    _store_tree(repository, tree)
    if row is None:
        row = CandidateRow(id=candidate_id, state=CandidateState.STAGED, imported_at=now)
        row.kind, row.name, row.version = kind.value, pin.name, pin.version
        row.source, row.address, row.tree_sha256 = origin.source, origin.address, digest
        session.add(row)
    row.resolved = canonical(dict(origin.resolved)).decode()
    row.publisher, row.licence = origin.publisher, origin.licence
    observations = (*origin.observations, *_changed_bytes(session, row))
    row.observations = canonical([finding.to_json() for finding in observations]).decode()
    if not known:
        log.append(session, event="candidate.imported", facts=facts, now=now)
    elif row.state == CandidateState.REJECTED or _said(row) != before:
        # The source says something else now (a verdict, a licence), or the candidate starts over: an approval
        # of what was said before is not an approval of this. What was decided stays in the log.
        row.state, row.review_sha256 = CandidateState.STAGED, None
        row.bundle_sha256, row.bundle_tree_sha256 = None, None
        drop_proposals(session, f"candidate:{row.id}")
        log.append(session, event="candidate.imported-again", facts=facts, now=now)
    session.flush()
    return row


def find(session: Session, text: str) -> CandidateRow:
    """Return the candidate that ``text`` means: its id or the beginning of it, NAME==VERSION, or NAME.

    A name means the candidate that is still to be decided or published, if there is one.

    Raises:
        NotFoundError: there is none. ConflictError: there are several.
    """
    if (row := session.get(CandidateRow, text)) is not None:
        return row  # first: somebody may have named a skill like another one's id
    name, _, version = text.partition("==")
    by_name = select(CandidateRow).where(CandidateRow.name == name)
    rows = list(session.scalars(by_name.where(CandidateRow.version == version) if version else by_name))
    rows = [row for row in rows if row.state not in _ENDED] or rows
    if not rows and text:
        by_id = select(CandidateRow).where(CandidateRow.id.startswith(text, autoescape=True))
        rows = list(session.scalars(by_id))
    if not rows:
        raise NotFoundError(f"no candidate {text!a}", hint="skillrepo status lists candidates")
    if len(rows) > 1:
        names = ", ".join(f"{row.id} ({row.name}=={row.version}, {row.state})" for row in rows[:5])
        raise ConflictError(f"{text!a} means several candidates: {names}", hint="write the id")
    return rows[0]


def load_tree(repository: Repository, row: CandidateRow) -> SourceTree:
    """Return the files of a candidate, read back from the blobs and compared with their digests.

    Raises:
        NotFoundError, DigestMismatchError: a blob is missing or damaged, or the row is not the one that was
            imported under its id.
    """
    if row.id != _identity(row.name, row.version, row.kind, row.tree_sha256, row.source, row.address):
        raise DigestMismatchError(
            f"candidate {row.id} is not what was imported under that id",
            hint="the database was altered; do not decide about this candidate, look at skillrepo log",
        )
    listed = parse_canonical(repository.blobs.load(Sha256(row.tree_sha256)), where="tree")
    try:
        files = [(item["path"], parse_sha256(item["sha256"]), item["mode"]) for item in listed]
    except (TypeError, LookupError) as error:
        raise FormatError("not a list of files", where="tree") from error
    entries: list[Entry] = [
        (path, repository.blobs.load(digest), mode == Mode.EXECUTABLE) for path, digest, mode in files
    ]
    tree = SourceTree.of(entries)
    if tree.digest != row.tree_sha256:
        raise DigestMismatchError(f"the files of candidate {row.id} are not those of its list", where="tree")
    return tree


def check_new_version(session: Session, pin: Pin) -> None:
    """Return None when no release has the version of ``pin``, in this spelling or another.

    1.0 and 1.0.0 are one version to PEP 440: which of two releases would be the newest? Several candidates for one
    version may be staged while none is published, so this is asked again before one is signed and published.

    Raises:
        ConflictError: there is one.
    """
    for version in session.scalars(select(ReleaseRow.version).where(ReleaseRow.name == pin.name)):
        if version_key(ReleaseVersion(version)) == version_key(pin.version):
            same = "" if version == pin.version else f", and {pin.version} is the same version"
            raise ConflictError(
                f"{pin.name}=={version} is published{same}", hint="choose a higher version (--version)"
            )


def pin_of(row: CandidateRow | ReleaseRow) -> Pin:
    """Return which release a row is (to become)."""
    return Pin(SkillName(row.name), ReleaseVersion(row.version))


def provenance_of(row: CandidateRow) -> Candidate:
    """Return where a candidate came from, as a review records it."""
    return Candidate(
        source=row.source,
        address=row.address,
        resolved=resolved_of(row),
        publisher=row.publisher,
        licence=row.licence,
        imported_at=row.imported_at,
        tree_sha256=Sha256(row.tree_sha256),
    )


def resolved_of(row: CandidateRow) -> dict[str, str]:
    """Return what the source resolved the address to.

    Raises:
        FormatError: the row was damaged.
    """
    found = parse_canonical(row.resolved.encode(), where="resolved")
    if not isinstance(found, dict):
        raise FormatError("not an object", where="resolved")
    return found


def observations_of(row: CandidateRow) -> tuple[Finding, ...]:
    """Return what the source itself said about a candidate.

    Raises:
        FormatError: the row was damaged.
    """
    found = parse_canonical(row.observations.encode(), where="observations")
    if not isinstance(found, list):
        raise FormatError("not a list", where="observations")
    return tuple(Finding.from_json(item, f"observations[{index}]") for index, item in enumerate(found))


def _identity(*parts: str) -> str:
    """Return the id of a candidate: name, version, kind, tree digest, source, address; 128 bits."""
    return sha256_of(canonical(list(parts)))[:32]


def _said(row: CandidateRow) -> tuple[str, ...]:
    """Return what the source said of a candidate, apart from its bytes."""
    return (row.resolved, row.publisher, row.licence, row.observations)


def _changed_bytes(session: Session, row: CandidateRow) -> tuple[Finding, ...]:
    """Return the alarm that the source gave other files for this version before, if it did.

    From the same address that blocks: a version is one set of bytes, and whoever exchanges them may hope that the
    first was reviewed. From another address of the same publisher (another commit) somebody must look. What lies on
    this machine is changed by the curator, and has no address worth the name.
    """
    if row.source in _LOCAL:
        return ()
    earlier = select(CandidateRow).where(
        CandidateRow.source == row.source,
        CandidateRow.name == row.name,
        CandidateRow.version == row.version,
        CandidateRow.tree_sha256 != row.tree_sha256,
        CandidateRow.imported_at < row.imported_at,
    )
    with session.no_autoflush:  # the row is not complete yet
        others = session.scalars(earlier.order_by(CandidateRow.imported_at, CandidateRow.id)).all()
    for other in others:
        same = other.address == row.address
        if same or other.publisher == row.publisher:
            message = (
                f"{row.name}=={row.version} had other files when it was imported before (candidate {other.id}"
                f"{'' if same else ', from another address'}); find out who changed them, and why under one version"
            )
            severity = Severity.BLOCK if same else Severity.LOOK
            check = "source.version-changed-bytes"
            return (Finding(check=check, severity=severity, path="", line=0, message=message),)
    return ()


def _store_tree(repository: Repository, tree: SourceTree) -> None:
    listed = []
    for path, file in tree.files.items():
        digest = repository.blobs.store(file.content)
        listed.append({"path": path, "mode": file.mode.value, "sha256": digest, "size": len(file.content)})
    repository.blobs.store(canonical(listed))


def _check_not_published(session: Session, pin: Pin, tree_sha256: Sha256) -> None:
    release = session.get(ReleaseRow, (pin.name, pin.version))
    if release is None:
        check_new_version(session, pin)
        return
    published = session.get(CandidateRow, release.candidate_id)
    if published is None or published.tree_sha256 != tree_sha256:
        raise ConflictError(
            f"{pin} is published with other files: one version is one set of bytes",
            hint="if this is a new version, give it one (--version); if upstream changed a released version, be alarmed",
        )
