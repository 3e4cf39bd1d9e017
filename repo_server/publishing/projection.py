"""The published tree: plain files, made from the database and the blobs (edge).

    metadata/1.root.json … N.root.json, 7.snapshot.json, 3.targets.json, 2.skills-0a.json …, timestamp.json
    metadata/7.snapshot.json.gz …                   compressed siblings (repo_server.publishing.siblings)
    targets/skills/web-search/1.2.0/<sha256>.web-search-1.2.0.tar.gz
    .well-known/agent-skills/index.json, .well-known/skills/…
    and beside it the trees of the package site (repo_server.pkgrepo.published)

Order: blobs, delegated metadata, targets, snapshot, packages, roots, timestamp last, each durable before the next. A process
killed in between leaves the old timestamp, which names an older whole state; running `project` again
completes the new one. Clients look for the next root by its name, whatever the timestamp says: so it comes late. Everything but ``timestamp.json`` and the two indexes never changes once written.

Because of that order the served timestamp says what is whole: the snapshot that it names, and all that this one names. So
who has just published (`project_new`) writes what came since, and does not look at a hundred thousand files for that.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Snapshot, TargetFile, Targets, Timestamp

from repo_server.db.models import MetadataRow, TargetRow
from repo_server.pkgrepo.published import project_packages
from repo_server.publishing.behind import check_not_behind
from repo_server.publishing.siblings import is_whole, write_once_with_sibling
from repo_server.publishing.state import current, published_content
from repo_server.publishing.well_known import project_indexes, update_indexes
from repo_server.repository import Repository
from repo_server.storage.durable import write_durably
from signing.errors import FormatError, NotFoundError
from signing.format.digest import Sha256
from signing.format.names import TargetPath
from signing.metadata import parse
from signing.roles import REVOCATIONS, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, hashed_path


def project(repository: Repository, session: Session, *, repair: bool = False) -> int:
    """Write every file of the published tree that is missing; return how many were written.

    With ``repair``, files that are there are read and compared too, and written again when they differ.

    Raises:
        RollbackError: the tree is newer than the database; nothing is written.
        HostError: a file cannot be written; the state served before is still whole.
    """
    check_not_behind(repository, session)
    tree = repository.skills_root
    written = _project_targets(repository, session, tree, repair=repair)
    rows = session.execute(select(MetadataRow.role, MetadataRow.version)).all()
    named = sorted((role, version) for role, version in rows if role not in {ROOT, TIMESTAMP})
    for role, version in sorted(named, key=lambda item: _rank(item[0])):
        written += _write_metadata(session, tree, role, version, repair=repair)
    # Before the timestamp that vouches for them.
    written += project_packages(repository, session, repair=repair)
    for version in sorted(version for role, version in rows if role == ROOT):
        written += _write_metadata(session, tree, ROOT, version, repair=repair)
    written += _project_timestamp(session, tree)
    project_indexes(repository, session)
    return written


def project_new(repository: Repository, session: Session) -> int:
    """Write what was published since the timestamp that is served; return how many files that were.

    A tree whose timestamp is not one of this database is completed by `project`. What somebody removed from the tree, and
    indexes that a process was killed before, come back by `project` too: whoever refreshes or serves runs it.

    Raises:
        HostError: a file cannot be written; the state served before is still whole.
    """
    tree = repository.skills_root
    whole = _whole(session, tree)
    if whole is None:
        return project(repository, session)
    newest = _named(current(session, SNAPSHOT).content)
    changed = [role for role, version in newest.items() if version != whole.get(role)]
    rows = [
        row
        for role in sorted({*changed, SNAPSHOT}, key=_rank)
        for row in _published_after(session, role, whole.get(role, 0))
    ]
    fresh = _new_targets(session, [row for row in rows if row.role in newest], whole)
    written = sum(_project_target(repository, tree, row, repair=False) for row in fresh)
    for row in rows:
        written += _write_metadata(session, tree, row.role, row.version, repair=False)
    written += project_packages(repository, session)
    for row in _published_after(session, ROOT, 0):
        written += _write_metadata(session, tree, ROOT, row.version, repair=False)
    written += _project_timestamp(session, tree)
    if REVOCATIONS in changed:  # of any skill another release may be the newest now
        project_indexes(repository, session)
    else:
        skills = {row.path.split("/")[1] for row in fresh if row.path.startswith("skills/")}
        update_indexes(repository, session, skills)
    return written


def _whole(session: Session, tree: Path) -> Mapping[str, int] | None:
    """Return the versions in the state that ``tree`` serves; None when it is none of this database."""
    try:
        served = (tree / "metadata" / "timestamp.json").read_bytes()
        timestamp = parse(served, Timestamp, where=TIMESTAMP).signed
        if published_content(session, TIMESTAMP, timestamp.version) != served:
            return None
        version = timestamp.snapshot_meta.version
        return {**_named(published_content(session, SNAPSHOT, version)), SNAPSHOT: version}
    except (OSError, FormatError, NotFoundError):
        return None


def _named(snapshot: bytes) -> dict[str, int]:
    meta = parse(snapshot, Snapshot, where=SNAPSHOT).signed.meta
    return {name.removesuffix(".json"): item.version for name, item in meta.items()}


def _published_after(session: Session, role: str, version: int) -> list[MetadataRow]:
    statement = select(MetadataRow).where(MetadataRow.role == role, MetadataRow.version > version)
    return list(session.scalars(statement.order_by(MetadataRow.version)))


def _new_targets(session: Session, rows: list[MetadataRow], whole: Mapping[str, int]) -> list[TargetRow]:
    """Return the targets that ``rows``, metadata of delegated roles, name, and those before them do not."""
    known: dict[str, Mapping[str, TargetFile]] = {}
    found = []
    for row in rows:
        if row.role not in known:
            known[row.role] = _targets(session, row.role, whole.get(row.role, 0))
        targets = parse(row.content, Targets, where=row.role).signed.targets
        new = [(path, item) for path, item in targets.items() if known[row.role].get(path) != item]
        found += [session.get(TargetRow, (path, item.hashes["sha256"])) for path, item in new]
        known[row.role] = targets
    return [row for row in found if row is not None]


def _targets(session: Session, role: str, version: int) -> Mapping[str, TargetFile]:
    if not version:
        return {}
    return parse(published_content(session, role, version), Targets, where=role).signed.targets


def _project_timestamp(session: Session, tree: Path) -> int:
    timestamp = tree / "metadata" / "timestamp.json"
    newest = current(session, TIMESTAMP).content
    if timestamp.exists() and timestamp.read_bytes() == newest:
        return 0
    write_durably(timestamp, newest)
    return 1


def _project_targets(repository: Repository, session: Session, tree: Path, *, repair: bool) -> int:
    rows = session.scalars(select(TargetRow))
    return sum(_project_target(repository, tree, row, repair=repair) for row in rows)


def _project_target(repository: Repository, tree: Path, row: TargetRow, *, repair: bool) -> int:
    path = f"targets/{hashed_path(TargetPath(row.path), row.sha256)}"
    return _write_once(tree, path, partial(repository.blobs.load, Sha256(row.sha256)), repair=repair)


def _write_metadata(session: Session, tree: Path, role: str, version: int, *, repair: bool) -> int:
    path = f"metadata/{version}.{role}.json"
    return _write_once(tree, path, partial(_content, session, role, version), repair=repair)


def _write_once(tree: Path, path: str, content: Callable[[], bytes], *, repair: bool) -> int:
    if (tree / path).exists() and not (repair and not is_whole(tree, path, content())):
        return 0
    write_once_with_sibling(tree, path, content())
    return 1


def _content(session: Session, role: str, version: int) -> bytes:
    row = session.get(MetadataRow, (role, version))
    assert row is not None  # noqa: S101 - it was listed in this transaction
    return row.content


def _rank(role: str) -> int:
    return {TARGETS: 1, SNAPSHOT: 2}.get(role, 0)
