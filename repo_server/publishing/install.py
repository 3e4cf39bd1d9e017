"""Making a repository: a folder, a database and the first, completely signed metadata (edge)."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Signer
from sqlalchemy import select
from tuf.api.metadata import Root

from repo_server.config import NAME, RepositoryConfig
from repo_server.db import log
from repo_server.db.models import MetadataRow, TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.ceremony import Documents, check_complete, check_draft
from repo_server.publishing.online import sign_state
from repo_server.publishing.projection import project
from repo_server.publishing.state import add_versions
from repo_server.repository import ANCHOR_NAME, Repository
from repo_server.storage.durable import sync_folder, write_durably
from signing.errors import ConflictError, KeyAccessError
from signing.format.digest import sha256_of
from signing.format.names import REVOCATIONS_PATH
from signing.format.revocations import Revocations
from signing.keys import holder_of
from signing.metadata import parse
from signing.roles import ROOT, TIMESTAMP


def install(
    folder: Path,
    *,
    config: RepositoryConfig,
    documents: Documents,
    online: Signer,
    now: datetime,
    database: str | None = None,
    key_files: Mapping[str, bytes] | None = None,
) -> Repository:
    """Make the repository in ``folder`` from the documents of a finished ceremony.

    ``key_files`` are put beside it, by name.

    ``repository.toml`` is written last: a folder without it is no repository, so a killed installation leaves
    none, and can be started again.

    Raises:
        ConflictError: there is a repository already, in the folder or in ``database``.
        ThresholdError, FormatError: the ceremony is not complete.
        KeyAccessError: ``online`` is not the key that root names for the timestamp.
    """
    if (folder / NAME).exists():
        raise ConflictError(f"{folder} is a repository already", hint="choose another folder")
    check_complete(documents)
    check_draft(documents, now=now)
    root = parse(documents[ROOT], Root, where=ROOT).signed
    if online.public_key.keyid not in root.roles[TIMESTAMP].keyids:
        raise KeyAccessError(
            "this is not the online key that root names", hint="name its key file by --online"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Candidates that nobody reviewed are nobody's to read; only public/ is for the web server.
    (folder / "blobs").mkdir(mode=0o700, exist_ok=True)
    if (folder / f"{NAME}.new").exists():  # a killed installation of ours; its database holds nothing yet
        for leftover in folder.glob("repository.db*"):
            leftover.unlink()
    write_durably(folder / ANCHOR_NAME, documents[ROOT])
    write_durably(folder / f"{NAME}.new", config.render().encode())
    repository = Repository.with_config(folder, config, database=database)
    revocations = Revocations().render()
    repository.blobs.store(revocations)
    with transaction(repository.engine) as session:
        if session.scalars(select(MetadataRow.role).limit(1)).first() is not None:
            raise ConflictError(
                "this database holds a repository already", hint="name an empty one by --db, or none"
            )
        add_versions(session, ((role, 1, data) for role, data in documents.items()), now=now)
        session.add(TargetRow(path=REVOCATIONS_PATH, sha256=sha256_of(revocations), length=len(revocations)))
        sign_state(session, online, now=now)
        log.append(
            session,
            event="repository.created",
            facts={
                "dev": config.dev,
                "anchor_sha256": sha256_of(documents[ROOT]),
                "root_holders": sorted(holder_of(root.keys[keyid]) for keyid in root.roles[ROOT].keyids),
            },
            now=now,
        )
    with transaction(repository.engine) as session:
        # A killed installation signed another snapshot of the same version, and may have written it already.
        project(repository, session, repair=True)
    repository.pkg_root.mkdir(parents=True, exist_ok=True)
    if key_files:
        repository.keys.mkdir(mode=0o700, exist_ok=True)
    for name, content in (key_files or {}).items():
        write_durably(repository.keys / name, content, mode=0o600)
    (folder / f"{NAME}.new").replace(folder / NAME)
    sync_folder(folder)
    return repository
