"""The indexes for ordinary agents: Agent Skills discovery v0.2 and v0.1 (edge).

    /.well-known/agent-skills/index.json   v0.2: one archive per skill, with its sha256
    /.well-known/skills/index.json         v0.1: the files of each skill, to be fetched one by one, no digests

They list the newest release of every skill that nobody withdrew (no souls: an identity layer is not for strangers
to install). What they promise is transport only: index and files come from one origin. Who wants to know uses
skillrepo-client. Entries of v0.2 also name the version and the signed review; clients pass over keys that they do
not know (npm ``skills`` 1.5.18 does).
"""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.db.models import ReleaseRow
from repo_server.publishing.profiles import PUBLISHED
from repo_server.publishing.siblings import is_whole, replace_with_sibling
from repo_server.repository import Repository
from repo_server.storage.durable import write_durably
from signing.errors import HostError, NotFoundError, RejectedError
from signing.format.archive import Bundle, read_bundle
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.names import Pin, ReleaseVersion, SkillName, version_key
from signing.roles import hashed_path

# An index of about 700 skills. A larger one is written anew by whoever refreshes, not by everybody who publishes: it names all
# skills, and grows with them.
_AT_ONCE: Final = 512 << 10
_STANDARDS: Final = ("skills", "agent-skills")  # v0.1, v0.2
SCHEMA_V2: Final = "https://schemas.agentskills.io/discovery/0.2.0/schema.json"


def project_indexes(repository: Repository, session: Session) -> None:
    """Write both indexes and the files that v0.1 lists.

    A skill whose archive cannot be read is not offered; the others are, and what was withdrawn is gone, before the
    error is raised.

    Raises:
        HostError: a file cannot be written. NotFoundError, RejectedError: an archive is gone or damaged.
    """
    folder = repository.skills_root / ".well-known"
    newest, failed = newest_skills(session), None
    _remove_skills(folder / "skills", {row.name for row in newest})
    v1, v2 = [], []
    for row in newest:
        try:
            bundle = read_bundle(repository.blobs.load(Sha256(row.bundle_sha256)))
        except (NotFoundError, RejectedError) as error:
            failed = failed or error
            _remove_others(folder / "skills" / row.name, set())
            continue
        _write_files(folder / "skills" / row.name, bundle)
        v1.append(_entry_v1(row, bundle))
        v2.append(_entry_v2(row))
    for standard, entries in zip(_STANDARDS, (v1, v2), strict=True):
        _write_index(repository.skills_root, standard, entries)
    if failed is not None:
        raise failed


def update_indexes(repository: Repository, session: Session, names: Collection[str]) -> None:
    """Bring both indexes, and the files that v0.1 lists, up to date for the skills ``names`` only.

    An index that has become large is left to `project_indexes`; the files are not. What cannot be done so (an index that
    is not here, an archive that cannot be read) is left to it too: it says what is wrong.

    Raises:
        HostError: a file cannot be written.
    """
    folder = repository.skills_root / ".well-known"
    entries = {standard: _entries(folder / standard / "index.json") for standard in _STANDARDS}
    for name in sorted(names):
        found = newest_skills(session, name)
        if not found:
            continue  # a soul; withdrawals are for `project_indexes`
        try:
            bundle = read_bundle(repository.blobs.load(Sha256(found[0].bundle_sha256)))
        except (NotFoundError, RejectedError):
            continue
        _write_files(folder / "skills" / name, bundle)
        for standard, entry in zip(
            _STANDARDS, (_entry_v1(found[0], bundle), _entry_v2(found[0])), strict=True
        ):
            if (known := entries[standard]) is not None:
                known[name] = entry
    for standard, known in entries.items():
        if known is not None:
            _write_index(repository.skills_root, standard, [known[name] for name in sorted(known)])


def _entries(path: Path) -> dict[str, Any] | None:
    """Return the entries of an index of ours by name; None when it is not here, or too large to be written often."""
    try:
        if path.stat().st_size > _AT_ONCE:
            return None
        return {str(item["name"]): item for item in json.loads(path.read_bytes())["skills"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest_skills(session: Session, name: str | None = None) -> list[ReleaseRow]:
    """Return the newest release of every published skill, or of ``name``, that is not withdrawn, by name."""
    newest: dict[str, ReleaseRow] = {}
    offered = select(ReleaseRow).where(ReleaseRow.kind == Kind.SKILL.value, ReleaseRow.state == PUBLISHED)
    if name is not None:
        offered = offered.where(ReleaseRow.name == name)
    for row in session.scalars(offered):
        known = newest.get(row.name)
        if known is None or _key(row) > _key(known):
            newest[row.name] = row
    return [newest[name] for name in sorted(newest)]


def _key(row: ReleaseRow) -> Any:
    return version_key(ReleaseVersion(row.version))


def _entry_v1(row: ReleaseRow, bundle: Bundle) -> dict[str, Any]:
    return {"name": row.name, "description": row.description, "files": list(bundle.contents)}


def _entry_v2(row: ReleaseRow) -> dict[str, Any]:
    pin = Pin(SkillName(row.name), ReleaseVersion(row.version))
    return {
        "name": row.name,
        "type": "archive",
        "description": row.description,
        # Relative to the index (RFC 3986), so that it also holds below a path prefix.
        "url": f"../../targets/{hashed_path(pin.bundle_path, row.bundle_sha256)}",
        "digest": f"sha256:{row.bundle_sha256}",
        "version": row.version,
        "review": f"../../targets/{hashed_path(pin.review_path, row.review_sha256)}",
        "review_digest": f"sha256:{row.review_sha256}",
    }


def _write_files(folder: Path, bundle: Bundle) -> None:
    wanted = {folder / path: content for path, content in bundle.contents.items()}
    _remove_others(folder, set(wanted))
    for path, content in wanted.items():
        _write_changed(path, content)


def _remove_skills(folder: Path, kept: set[str]) -> None:
    """Remove the files of skills of which no release is left: v0.1 has no digests, whoever knows a URL asks it."""
    for path in sorted(folder.glob("*")):
        if path.is_dir() and path.name not in kept:
            _remove_others(path, set())
            with _host_errors(path):
                path.rmdir()


def _remove_others(folder: Path, wanted: set[Path]) -> None:
    """Remove what an older version left: it would be served still, or a file stand where a folder is needed."""
    with _host_errors(folder):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path in kept.parents for kept in wanted):
                    path.rmdir()
            elif path not in wanted:
                path.unlink()


@contextlib.contextmanager
def _host_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(f"cannot clear {folder}: {error.strerror}") from error


def _write_index(tree: Path, standard: str, entries: list[dict[str, Any]]) -> None:
    schema = {"$schema": SCHEMA_V2} if standard == "agent-skills" else {}
    document = {**schema, "skills": entries}
    path = f".well-known/{standard}/index.json"
    data = json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
    if not is_whole(tree, path, data):
        replace_with_sibling(tree, path, data)


def _write_changed(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write_durably(path, content)
