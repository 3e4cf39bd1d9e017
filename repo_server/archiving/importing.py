"""Taking an archive in (edge): `skillrepo import-archive`. Nothing is visible before all of it was verified.

    DIR/current -> versions/31-5d01…      what a web server serves: current/skills and current/pkg; switched by one rename
    DIR/versions/31-5d01…/skills/…        one whole state; the one before it is kept for who is just reading it
    DIR/seen.json                         what was taken in before
    DIR/.new-…                            a run that was killed; the next removes it

The archive comes from nobody in particular. What it has to hold is computed from its signed metadata, from the anchor on, at the time of now;
a file is opened relative to its folder's handle and never through a link; its bytes are compared while they are copied. So what is
in the archive beside that is not read, and what is visible here is what is signed. Links are made here, in the one spelling.
"""

import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from repo_server.archiving.contents import Contents, survey
from repo_server.archiving.exporting import open_to_all, write_compared
from repo_server.archiving.format import (
    BY_SHA256,
    INDEX_NAME,
    MAX_INDEX_BYTES,
    METADATA,
    TARGETS,
    ArchiveIndex,
    FileFact,
)
from repo_server.archiving.seen import Seen, remembered
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, write_anchors
from repo_server.pkgrepo.places import VULNERABILITIES, fingerprints_folder, link_text, serial_folder
from repo_server.pkgrepo.published import set_times
from repo_server.storage.durable import NEW, make_folder_durably, sync_folder
from repo_server.web.tree import open_below, opened_root, parse_tree_path
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    HostError,
    NotFoundError,
)
from signing.format.digest import sha256_of
from signing.format.pkg.index import MAX_INDEX_BYTES as MAX_DOCUMENT_BYTES
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import INDEX_NAME as REPO_JSON
from signing.roles import ROOT, TIMESTAMP, hashed_path
from signing.trusted import VouchedTarget, verify_metadata

_PIECE: Final = 1 << 20
_SHOWN: Final = 5
_MAX_METADATA: Final = 64 << 20
_MAX_ALL_METADATA: Final = 1 << 30
_MAX_METADATA_FILES: Final = 20_000
_METADATA: Final = re.compile(r"(?:([1-9][0-9]{0,15})\.)?([a-zA-Z0-9_.-]+)\.json", re.ASCII)
CURRENT: Final = "current"
_VERSIONS: Final = "versions"
_SEEN: Final = "seen.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """An open folder that is said to be an archive."""

    folder: int
    index: ArchiveIndex

    def read(self, path: str, *, limit: int) -> bytes:
        """Return a small file of it."""
        fact = self.index.files.get(path)
        if fact is None:
            raise NotFoundError(
                f"the archive lacks {path}", hint="it was not written to its end; copy it again"
            )
        if fact.size > limit:
            raise FormatError(f"larger than {limit} bytes", where=path)
        return b"".join(self.pieces(path, fact))

    def pieces(self, path: str, fact: FileFact) -> Iterator[bytes]:
        """Yield a file of it, as long as it should be and no longer."""
        with open_below(self.folder, parse_tree_path(path)) as file:
            if file.size != fact.size:
                raise DigestMismatchError(f"has {file.size} bytes instead of {fact.size}", where=path)
            at = 0
            while piece := file.read(at, min(_PIECE, fact.size - at)):
                yield piece
                at += len(piece)


def check_archive(place: Path, *, anchor: bytes, now: datetime) -> Contents:
    """Return what the archive at ``place`` holds, after all of it was compared. Nothing is written.

    Raises:
        NotFoundError: it is none, or files are missing.
        VerificationError, FormatError: it is not what the anchor vouches for now.
        HostError: it cannot be read.
    """
    with _opened(place) as archive:
        contents = _surveyed(archive, anchor=anchor, now=now)
        for path, fact in contents.index.files.items():
            digest = _digest(archive.pieces(path, fact))
            if digest != fact.sha256:
                raise DigestMismatchError("is not what is signed", where=path, hint="copy the archive again")
        return contents


def import_archive(place: Path, mirror: Path, *, anchor: bytes, now: datetime) -> Contents:
    """Make the state in the archive at ``place`` the one that ``mirror`` serves, and return what it holds.

    Raises:
        NotFoundError: it is no archive, or files are missing.
        VerificationError, FormatError: it is not what the anchor vouches for now; RollbackError: older than what was taken in.
        ConflictError: another import is going on. HostError: it cannot be read, or written.
    """
    with _opened(place) as archive, _locked(mirror):
        contents = _surveyed(archive, anchor=anchor, now=now)
        before = Seen.load(mirror / _SEEN)
        seen = before.after(contents) if before is not None else remembered(contents)
        temporary = mirror / f"{NEW}{secrets.token_hex(8)}"
        try:
            temporary.mkdir(mode=0o755)
            for path, fact in contents.index.files.items():
                write_compared(temporary / path, archive.pieces(path, fact), fact, where=path)
            for repo, document in contents.document_paths():
                _make_repository(temporary, contents.indexes[repo], temporary / document)
            if contents.advisories is not None:
                shutil.copyfile(temporary / contents.advisories, temporary / "pkg" / VULNERABILITIES)
            open_to_all(temporary)
            (temporary / INDEX_NAME).write_bytes(contents.index.render())
            os.sync()  # one for all
            seen.save(mirror / _SEEN)  # before it is visible: what was served once is never forgotten
            _switch(mirror, temporary, contents)
        except OSError as error:
            raise HostError(f"cannot write to {mirror}: {error.strerror}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return contents


@contextmanager
def _opened(place: Path) -> Iterator[_Archive]:
    try:
        with opened_root(place) as folder:
            with open_below(folder, (INDEX_NAME,)) as file:
                if file.size > MAX_INDEX_BYTES:
                    raise FormatError(f"larger than {MAX_INDEX_BYTES} bytes", where=INDEX_NAME)
                data = file.read(0, file.size)
            index = ArchiveIndex.parse(data)
            _check_present(folder, index.files)
            yield _Archive(folder=folder, index=index)
    except NotFoundError as error:
        if error.hint:
            raise
        raise NotFoundError(
            f"{place} is no archive: it has no {INDEX_NAME}", hint="copy all of it, again"
        ) from error
    except OSError as error:
        raise HostError(f"cannot read {place}: {error.strerror}") from error


def _check_present(folder: int, files: Mapping[str, FileFact]) -> None:
    """Return None when every listed file is there, a plain file of its size: what a copy lost is named at once."""
    wrong = []
    for path, fact in files.items():
        try:
            with open_below(folder, parse_tree_path(path)) as file:
                if file.size != fact.size:
                    wrong.append(f"{path} (cut off)")
        except NotFoundError:
            wrong.append(path)
    if wrong:
        shown = ", ".join(ascii(name)[1:-1] for name in wrong[:_SHOWN])
        raise NotFoundError(
            f"{len(wrong)} file(s) of the archive are missing, cut off or no plain files, first: {shown}",
            hint="copy the archive again",
            missing=wrong[:1000],
        )


def _surveyed(archive: _Archive, *, anchor: bytes, now: datetime) -> Contents:
    """Return what the signed metadata says the archive has to hold, which is exactly what its index says.

    Raises:
        VerificationError, FormatError: it does not.
    """
    if archive.index.anchor_sha256 != sha256_of(anchor):
        raise CouldNotVerifyError(
            "this archive is of a repository with another trust anchor than yours",
            hint="it was made elsewhere; or give the anchor that the repository hands out",
        )
    roots, files = _metadata(archive)
    trusted = verify_metadata(anchor, roots=roots, files=files, now=now)

    def load(target: VouchedTarget) -> bytes:
        return archive.read(TARGETS + hashed_path(target.path, target.sha256), limit=MAX_DOCUMENT_BYTES)

    contents = survey(
        trusted, anchor=anchor, files=files, roots=roots, choice=archive.index.choice, load=load
    )
    if contents.index != archive.index:
        said, needed = set(archive.index.files.items()), set(contents.index.files.items())
        first = min((path for path, _ in said ^ needed), default="its head")
        raise DigestMismatchError(
            f"does not hold what is signed, first at {first}", where=INDEX_NAME, hint="copy the archive again"
        )
    return contents


def _metadata(archive: _Archive) -> tuple[list[bytes], dict[str, bytes]]:
    names = [path.removeprefix(METADATA) for path in archive.index.files if path.startswith(METADATA)]
    size = sum(archive.index.files[METADATA + name].size for name in names)
    if len(names) > _MAX_METADATA_FILES or size > _MAX_ALL_METADATA:
        raise FormatError("lists too much metadata", where=INDEX_NAME)
    roots: dict[int, bytes] = {}
    files: dict[str, bytes] = {}
    for name in names:
        match = _METADATA.fullmatch(name)
        if match is None or (match[1] is None) != (match[2] == TIMESTAMP):
            raise FormatError(f"{name[:80]!a} is no metadata of ours", where=INDEX_NAME)
        data = archive.read(METADATA + name, limit=_MAX_METADATA)
        if match[2] == ROOT:
            roots[int(match[1])] = data
        elif match[2] in files:
            raise FormatError(f"holds {match[2][:80]!a} twice", where=INDEX_NAME)
        else:
            files[match[2]] = data
    return [roots[version] for version in sorted(roots)], files


def _make_repository(state: Path, index: RepoIndex, document: Path) -> None:
    """Complete the tree of one package repository as `pkg` asks for it; its packages are here once, by digest."""
    root = state / "pkg"
    folder = serial_folder(root, index.repo, index.serial)
    for package in (*index.packages, *index.kept):
        place = folder / package.path
        if not place.exists():  # a kept one makes way for what is listed
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            os.link(state / f"{BY_SHA256}{package.sha256}.pkg", place)
    shutil.copyfile(document, folder / REPO_JSON)
    set_times(index, folder)
    anchors = fingerprints_folder(root, index.repo)
    (anchors / "revoked").mkdir(mode=0o755, parents=True, exist_ok=True)
    (anchors / "trusted").mkdir(mode=0o755, exist_ok=True)
    write_anchors(anchors, FingerprintAnchors(trusted=frozenset(index.fingerprints), revoked=frozenset()))
    link = root / index.repo.abi / index.repo.channel
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.symlink_to(link_text(index.repo, index.serial))


def _switch(mirror: Path, state: Path, contents: Contents) -> None:
    versions = mirror / _VERSIONS
    make_folder_durably(versions)
    # A name of its own each time: taking the same archive in again mends what was damaged here.
    name, served = f"{contents.index.versions[TIMESTAMP]}-{secrets.token_hex(4)}", _served(mirror)
    state.rename(versions / name)
    sync_folder(versions)
    link = mirror / f"{NEW}{CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(f"{_VERSIONS}/{name}")
    link.replace(mirror / CURRENT)
    sync_folder(mirror)
    for old in versions.iterdir():
        if old.name not in {name, served}:
            shutil.rmtree(old)


def _served(mirror: Path) -> str:
    try:
        return (mirror / CURRENT).readlink().name
    except OSError:
        return ""


def _digest(pieces: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


@contextmanager
def _locked(mirror: Path) -> Iterator[None]:
    """Let one import at a time write to ``mirror``, and remove what a killed one left."""
    try:
        make_folder_durably(mirror)
        descriptor = os.open(mirror / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"cannot write to {mirror}: {error.strerror}") from error
    with io.FileIO(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"another import into {mirror} is going on", hint="wait for it") from error
        for left in mirror.glob(f"{NEW}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
        yield
