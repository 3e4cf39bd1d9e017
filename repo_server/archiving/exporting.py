"""Writing an archive of what is published now (edge): `skillrepo export-archive`.

All is read from one state of the database and from the blobs, so nothing that is published meanwhile is in it by half. It is
verified from the anchor as whoever takes it in will, each file is compared while it is copied, and the folder gets its name
when all of it is on disk: a killed export leaves a folder with a hidden name, and nothing that looks complete.
"""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Snapshot, Timestamp

from repo_server.archiving.contents import Contents, survey
from repo_server.archiving.format import INDEX_NAME, METADATA, Choice, FileFact
from repo_server.db.models import MetadataRow
from repo_server.db.session import snapshot
from repo_server.publishing.state import current
from repo_server.repository import Repository
from repo_server.storage.blobs import LargeBlobs
from repo_server.storage.durable import NEW, make_folder_durably, sync_folder
from signing.errors import ConflictError, DigestMismatchError, HostError, NotFoundError
from signing.metadata import parse
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP
from signing.trusted import verify_metadata

_PIECE: Final = 1 << 20


def export_archive(repository: Repository, place: Path, *, choice: Choice, now: datetime) -> Contents:
    """Write an archive of what is published at ``now`` to the new folder ``place``, and return what it holds.

    Raises:
        ConflictError: there is something at ``place`` already.
        NotFoundError: what was chosen is not published, or a blob is missing.
        VerificationError, FormatError: what is published would be refused; nothing is written then.
        HostError: it cannot be written.
    """
    if os.path.lexists(place):
        raise ConflictError(f"{place} is there already", hint="name a new folder for each archive")
    with snapshot(repository.engine) as session:
        roots, files = _metadata(session)
    anchor = repository.anchor
    # The anchor may be a later root than the first: what is before it, nobody who has it asks for.
    trusted = verify_metadata(anchor, roots=roots, files=files, now=now)
    contents = survey(
        trusted,
        anchor=anchor,
        files=files,
        roots=roots,
        choice=choice,
        load=lambda target: repository.blobs.load(target.sha256),
    )
    named = _by_name(contents, roots=[anchor, *roots], files=files)
    rendered = contents.index.render()  # what is too large for anybody is refused before it is copied
    try:
        make_folder_durably(place.parent)
        temporary = place.with_name(f"{NEW}{place.name}-{secrets.token_hex(4)}")
        temporary.mkdir(mode=0o755)
        try:
            for path, fact in sorted(contents.index.files.items()):
                pieces = _pieces(repository.package_blobs, named.get(path), fact)
                write_compared(temporary / path, pieces, fact, where=path)
            (temporary / INDEX_NAME).write_bytes(rendered)
            open_to_all(temporary)
            os.sync()  # one for all: of 35,000 packages each would cost a moment
            _take_name(temporary, place)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise HostError(f"cannot write {place}: {error.strerror}") from error
    return contents


def _metadata(session: Session) -> tuple[list[bytes], dict[str, bytes]]:
    """Return all roots, and the state that the newest timestamp names: not what is newer than it."""
    roots = list(
        session.scalars(
            select(MetadataRow.content).where(MetadataRow.role == ROOT).order_by(MetadataRow.version)
        )
    )
    timestamp = current(session, TIMESTAMP).content
    version = parse(timestamp, Timestamp, where=TIMESTAMP).signed.snapshot_meta.version
    files = {TIMESTAMP: timestamp, SNAPSHOT: _version_of(session, SNAPSHOT, version)}
    for name, meta in parse(files[SNAPSHOT], Snapshot, where=SNAPSHOT).signed.meta.items():
        role = name.removesuffix(".json")
        files[role] = _version_of(session, role, meta.version)
    return roots, files


def _version_of(session: Session, role: str, version: int) -> bytes:
    row = session.get(MetadataRow, (role, version))
    if row is None:
        raise NotFoundError(
            f"{role} version {version} is not in the database", hint="restore the database from a backup"
        )
    return row.content


def _by_name(contents: Contents, *, roots: list[bytes], files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the metadata files by their names in an archive; all other files are blobs."""
    by_digest = {hashlib.sha256(data).hexdigest(): data for data in (*roots, *files.values())}
    return {
        path: by_digest[fact.sha256]
        for path, fact in contents.index.files.items()
        if path.startswith(METADATA)
    }


def _pieces(blobs: LargeBlobs, data: bytes | None, fact: FileFact) -> Iterator[bytes]:
    if data is not None:
        yield data
        return
    with blobs.open(fact.sha256) as stream:
        yield from pieces_of(stream)


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what is in ``stream``."""
    while piece := stream.read(_PIECE):
        yield piece


def write_compared(place: Path, pieces: Iterator[bytes], fact: FileFact, *, where: str) -> None:
    """Write the new file ``place``, readable by everybody, and compare it on the way. It is not durable yet.

    Raises:
        DigestMismatchError: it is not what ``fact`` says.
    """
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    found, left = hashlib.sha256(), fact.size
    with place.open("xb") as stream:
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                break
            found.update(piece)
            stream.write(piece)
        os.fchmod(stream.fileno(), stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    if left != 0 or found.hexdigest() != fact.sha256:
        raise DigestMismatchError("is not what is signed", where=where, hint="it was damaged, or altered")


def open_to_all(folder: Path) -> None:
    """Let everybody read the folders below ``folder``, whatever the umask is: another user serves, or carries them."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)  # noqa: PTH101, S103 - os.walk gives texts; nothing in it is secret


def _take_name(temporary: Path, place: Path) -> None:
    if os.path.lexists(place):
        raise ConflictError(f"{place} was made by somebody else meanwhile", hint="name a new folder")
    temporary.rename(place)
    sync_folder(place.parent)
