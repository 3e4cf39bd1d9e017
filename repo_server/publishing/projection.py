"""The published tree: plain files, made from the database and the blobs (edge).

    metadata/1.root.json … N.root.json, 7.snapshot.json, 3.targets.json, 2.skills-0a.json …, timestamp.json
    metadata/7.snapshot.json.gz …                   compressed siblings (repo_server.publishing.siblings)
    targets/skills/web-search/1.2.0/<sha256>.web-search-1.2.0.tar.gz
    .well-known/agent-skills/index.json, .well-known/skills/…
    and beside it the trees of the package site (repo_server.pkgrepo.published)

Order: blobs, delegated metadata, targets, snapshot, packages, timestamp last, each durable before the next. A process
killed in between leaves the old timestamp, which names an older whole state; running `project` again
completes the new one. Everything but ``timestamp.json`` and the two indexes never changes once written.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.db.models import MetadataRow, TargetRow
from repo_server.pkgrepo.published import project_packages
from repo_server.publishing.siblings import is_whole, write_once_with_sibling
from repo_server.publishing.state import current
from repo_server.publishing.well_known import project_indexes
from repo_server.repository import Repository
from repo_server.storage.durable import write_durably
from signing.format.digest import Sha256
from signing.format.names import TargetPath
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, hashed_path


def project(repository: Repository, session: Session, *, repair: bool = False) -> int:
    """Write every file of the published tree that is missing; return how many were written.

    With ``repair``, files that are there are read and compared too, and written again when they differ.

    Raises:
        HostError: a file cannot be written; the state served before is still whole.
    """
    tree = repository.skills_root
    written = _project_targets(repository, session, tree, repair=repair)
    rows = session.execute(select(MetadataRow.role, MetadataRow.version)).all()
    metadata = tree / "metadata"
    for role, version in sorted(rows, key=lambda row: _rank(row.role)):
        if role == TIMESTAMP:
            continue
        written += _write_once(
            tree, f"metadata/{version}.{role}.json", partial(_content, session, role, version), repair=repair
        )
    written += project_packages(
        repository, session, repair=repair
    )  # before the timestamp that vouches for them
    timestamp = metadata / "timestamp.json"
    newest = current(session, TIMESTAMP).content
    if not timestamp.exists() or timestamp.read_bytes() != newest:
        write_durably(timestamp, newest)
        written += 1
    project_indexes(repository, session)
    return written


def _project_targets(repository: Repository, session: Session, tree: Path, *, repair: bool) -> int:
    written = 0
    for row in session.scalars(select(TargetRow)):
        path = f"targets/{hashed_path(TargetPath(row.path), row.sha256)}"
        written += _write_once(tree, path, partial(repository.blobs.load, Sha256(row.sha256)), repair=repair)
    return written


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
    order = {ROOT: 1, TARGETS: 2, SNAPSHOT: 3, TIMESTAMP: 4}
    return order.get(role, 0)
