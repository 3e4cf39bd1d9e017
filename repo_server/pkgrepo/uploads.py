"""Files that builders send in pieces, before anybody believes anything about them (edge).

    DIR/uploads/<token>/<sha256>.<size>         what has come so far; appended to, removed when it is whole or old
    DIR/uploads/<token>/<sha256>.<size>.done    that it came whole: an empty file that counts for the token's quota

A file becomes a blob when its last byte has come and its digest is right, and a blob is served to nobody before a
signed index that was accepted names it. A connection that breaks loses one piece: whoever sends asks how much is here
and goes on from there. One token cannot see, continue or crowd out what another one sends.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from repo_server.db.session import transaction
from repo_server.pkgrepo.intake import digest_row, hashed, record_digests
from repo_server.repository import Repository
from signing.errors import ConflictError, DigestMismatchError, FormatError, HostError, NotEntitledError
from signing.format.digest import Sha256
from signing.format.pkg.index import MAX_PACKAGE_BYTES, MAX_PACKAGES
from signing.format.pkg.sums import Hasher

FOLDER: Final = "uploads"
QUOTA: Final = 256 << 30
MAX_PIECE: Final = 32 << 20
LIFE: Final = timedelta(hours=48)
# Files cost more than their bytes; two whole repositories of the largest size are enough for anybody.
MAX_FILES: Final = 2 * MAX_PACKAGES
_DONE: Final = ".done"
_ROOM: Final = 1 << 30
_SWEEP_EVERY: Final = timedelta(minutes=10)
# Counting the files of a first build anew for each of them would take longer than receiving them.
_COUNT_EVERY: Final = timedelta(seconds=10)
# The second digest of smaller files is computed when a build is accepted; a row for each would cost more.
_LARGE: Final = 1 << 20


@dataclass(slots=True, kw_only=True)
class Uploads:
    """The files that are on their way to one repository. ``quota``: bytes that one token may have unpublished."""

    repository: Repository
    quota: int = QUOTA
    _swept: datetime | None = None
    _sent: dict[str, "_Sent"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offset(self, token: str, digest: Sha256, size: int) -> int:
        """Return how many bytes of a file are here; ``size`` when all of them are.

        Raises:
            FormatError: no file is that large.
        """
        _check_size(size)
        if self.repository.package_blobs.size_of(digest) == size:
            return size
        try:
            return self._part(token, digest, size).stat().st_size
        except FileNotFoundError:
            return 0

    def receive(
        self, token: str, digest: Sha256, size: int, *, offset: int, pieces: Iterable[bytes], now: datetime
    ) -> int:
        """Take bytes from ``offset`` on and return how many are here then; ``size`` when it became a blob.

        Raises:
            FormatError: no file is that large, or more came than it has.
            ConflictError: other bytes are to be sent next, or somebody is sending them just now.
            NotEntitledError: the token has sent too much that was not published.
            DigestMismatchError: whole, and not what its name says; it is forgotten.
            HostError: the disk has no room, or fails.
        """
        _check_size(size)
        self._sweep(now)
        if self.repository.package_blobs.size_of(digest) == size:
            return size
        self._check_room(token, size, offset, now)
        with self._opened(token, digest, size) as descriptor:
            here = os.fstat(descriptor).st_size
            if here != offset:
                raise ConflictError(f"{here} bytes are here: send from there on", offset=here)
            for piece in pieces:
                if here + len(piece) > size:
                    os.ftruncate(descriptor, offset)
                    raise FormatError(f"more than {size} bytes came", where="body")
                here += _write(descriptor, piece)
            if here == size:
                self._take(token, digest, size, descriptor)
            return here

    def published(self, token: str) -> None:
        """Forget what ``token`` sent whole: a build of its was published, and names what of it counts."""
        with suppress(OSError):
            for path in self._folder(token).glob(f"*{_DONE}"):
                path.unlink(missing_ok=True)
        with self._lock:
            self._sent.pop(token, None)

    def _take(self, token: str, digest: Sha256, size: int, descriptor: int) -> None:
        part = self._part(token, digest, size)
        hasher = Hasher()
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            with os.fdopen(os.dup(descriptor), "rb", buffering=0) as stream:
                self.repository.package_blobs.receive(hashed(stream, hasher), digest=digest, size=size)
        except DigestMismatchError:
            part.unlink(missing_ok=True)  # nobody could ever complete it
            raise
        if size >= _LARGE:
            with transaction(self.repository.engine) as session:
                record_digests(session, [digest_row(digest, size, hasher)])
        part.rename(part.with_name(part.name + _DONE))
        os.ftruncate(descriptor, 0)

    def _check_room(self, token: str, size: int, offset: int, now: datetime) -> None:
        with self._lock:
            sent = self._sent.get(token)
            if sent is None or not timedelta(0) <= now - sent.counted_at < _COUNT_EVERY:
                sent = self._sent[token] = _Sent.of(self._folder(token), now)
            # A file that is being continued is counted already.
            more_bytes, more_files = (size, 1) if offset == 0 else (0, 0)
            if sent.bytes + more_bytes > self.quota or sent.files + more_files > MAX_FILES:
                raise NotEntitledError(
                    f"this token has sent {sent.files} files, {sent.bytes} bytes, that no build names;"
                    f" it may send {self.quota} bytes in {MAX_FILES} files",
                    hint="publish what was sent, wait two days, or raise the quota: skillrepo serve --upload-quota",
                )
            sent.bytes, sent.files = sent.bytes + more_bytes, sent.files + more_files
        # What is missing of it, and then the blob, which is a copy.
        if shutil.disk_usage(self.repository.folder).free < 2 * size - offset + _ROOM:
            raise HostError("not enough room for this file", hint="make room")

    @contextmanager
    def _opened(self, token: str, digest: Sha256, size: int) -> Iterator[int]:
        """Open the part of a file, alone."""
        path = self._part(token, digest, size)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise HostError(f"cannot keep an upload: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConflictError("is being sent by another request just now") from error
            if not _stands_at(descriptor, path):  # that request ended between our opening and our locking it
                raise ConflictError("was completed, or forgotten, by another request just now")
            yield descriptor
        finally:
            os.close(descriptor)

    def _sweep(self, now: datetime) -> None:
        """Remove what nobody has continued for two days; now and then, whoever comes first."""
        with self._lock:
            if self._swept is not None and now - self._swept < _SWEEP_EVERY:
                return
            self._swept = now
        end = (now - LIFE).timestamp()
        for path in (self.repository.folder / FOLDER).glob("*/*"):
            with suppress(OSError):
                if path.lstat().st_mtime < end:
                    path.unlink()

    def _folder(self, token: str) -> Path:
        return self.repository.folder / FOLDER / token

    def _part(self, token: str, digest: Sha256, size: int) -> Path:
        return self._folder(token) / f"{digest}.{size}"


@dataclass(slots=True)
class _Sent:
    """What a token has unpublished, as counted a moment ago and added to since."""

    bytes: int
    files: int
    counted_at: datetime

    @classmethod
    def of(cls, folder: Path, now: datetime) -> "_Sent":
        try:
            sizes = [_size_in(path.name) for path in folder.iterdir()]
        except FileNotFoundError:
            sizes = []
        return cls(sum(sizes), len(sizes), now)


def _stands_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _check_size(size: int) -> None:
    if not 1 <= size <= MAX_PACKAGE_BYTES:
        raise FormatError(f"a file has 1 to {MAX_PACKAGE_BYTES} bytes", where="size")


def _size_in(name: str) -> int:
    text = name.removesuffix(_DONE).rpartition(".")[2]
    return int(text) if text.isascii() and text.isdigit() else 0


def _write(descriptor: int, piece: bytes) -> int:
    view = memoryview(piece)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise HostError(f"cannot keep an upload: {error.strerror}", hint="make room") from error
    return len(piece)
