"""Blobs as local files: ``ab/ab12…`` (edge)."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from repo_server.storage.announced import announced
from repo_server.storage.durable import (
    NEW,
    make_folder_durably,
    sync_folder,
    write_durably,
    write_pieces_durably,
)
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

_PREFIX: Final = 2
_CHUNK: Final = 1 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class LocalBlobs:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, digest: Sha256) -> Path:
        """Return where the blob stands, if it is here."""
        return Path(self._place_of(digest))

    def _place_of(self, digest: Sha256) -> str:
        # As text: joining paths costs more than the kernel does to look there, and packages are many.
        return f"{self._folder}/{parse_sha256(digest)[:_PREFIX]}/{digest}"

    def store(self, data: bytes) -> Sha256:
        """Keep ``data``, durable on return, and return its digest; a damaged copy is replaced.

        Raises:
            HostError: it cannot be written.
        """
        digest = sha256_of(data)
        path = self.path_of(digest)
        if _holds(path, data):
            # Whoever wrote it may have been killed before its name was on disk.
            sync_folder(path.parent)
        else:
            write_durably(path, data, mode=0o444)
        return digest

    def load(self, digest: Sha256) -> bytes:
        """Return the bytes with ``digest``.

        Raises:
            NotFoundError: they are not here.
            DigestMismatchError: the file is damaged.
        """
        path = self.path_of(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"no blob {digest[:16]}…") from error
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror}") from error
        if sha256_of(data) != digest:
            raise DigestMismatchError(
                f"blob {digest[:16]}… is damaged on disk", hint="restore it from a backup", where=str(path)
            )
        return data

    def size_of(self, digest: Sha256) -> int | None:
        """Return how many bytes the blob has; None when it is not here."""
        try:
            return os.stat(self._place_of(digest)).st_size  # noqa: PTH116 - see `_place_of`
        except FileNotFoundError:
            return None

    def open(self, digest: Sha256) -> BinaryIO:
        """Open a blob; what is read is not compared with its digest.

        Raises:
            NotFoundError: it is not here. HostError: it cannot be opened.
        """
        try:
            return self.path_of(digest).open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"no blob {digest[:16]}…") from error
        except OSError as error:
            raise HostError(f"cannot open blob {digest[:16]}…: {error.strerror}") from error

    def receive(self, pieces: Iterable[bytes], *, digest: Sha256, size: int) -> None:
        """Keep what comes in pieces; a copy of the right size that is here already is kept as it is.

        Raises:
            DigestMismatchError: it is longer, shorter or other than announced; nothing is kept.
            HostError: it cannot be written.
        """
        path = self.path_of(digest)
        if self.size_of(digest) != size:
            write_pieces_durably(path, announced(pieces, digest, size), mode=0o444)

    def put_at(self, digest: Sha256, place: Path) -> None:
        """Make ``place`` a file with the bytes of the blob: a hard link, or a copy where that cannot be.

        Raises:
            NotFoundError: the blob is not here. HostError: it cannot be written.
        """
        try:
            os.link(self._place_of(digest), place)
        except FileExistsError:
            return
        except FileNotFoundError as error:
            raise NotFoundError(f"no blob {digest[:16]}…") from error
        except OSError:  # another file system, or more links than it takes
            with self.open(digest) as stream:
                write_pieces_durably(place, iter(lambda: stream.read(_CHUNK), b""), mode=0o444)

    def remove(self, digest: Sha256) -> None:
        """Forget a blob, if it is here.

        Raises:
            HostError: it cannot be removed.
        """
        try:
            self.path_of(digest).unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"cannot remove blob {digest[:16]}…: {error.strerror}") from error

    def clock(self) -> datetime:
        """Return the present by the file system's clock, which over a network is another machine's.

        Raises:
            HostError: a file cannot be made there.
        """
        try:
            make_folder_durably(self._folder)
            with tempfile.TemporaryFile(dir=self._folder) as stream:
                return datetime.fromtimestamp(os.fstat(stream.fileno()).st_mtime, UTC)
        except OSError as error:
            raise HostError(f"cannot write to {self._folder}: {error.strerror}") from error

    def untouched(self, *, since: datetime) -> Iterator[tuple[Sha256, int]]:
        """Yield digest and size of the blobs that came before ``since``, and have not been stored again after it."""
        for path, status in _files(self._folder):
            if status.st_mtime < since.timestamp() and _SHA256.fullmatch(path.name):
                yield Sha256(path.name), status.st_size

    def unfinished(self, *, since: datetime) -> Iterator[Path]:
        """Yield what processes that were killed before ``since`` left half written."""
        for path, status in _files(self._folder):
            if status.st_mtime < since.timestamp() and path.name.startswith(NEW):
                yield path

    def remove_untouched(self, digest: Sha256, *, since: datetime) -> bool:
        """Forget a blob, unless it was stored again after ``since``, or is just now; return whether it is gone.

        Raises:
            HostError: it cannot be removed.
        """
        path = self.path_of(digest)
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(stream.fileno()).st_mtime >= since.timestamp():
                    return False
                path.unlink()
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            raise HostError(f"cannot remove blob {digest[:16]}…: {error.strerror}") from error
        return True


def _holds(path: Path, data: bytes) -> bool:
    """Return whether ``path`` holds ``data``; then it counts as stored now, and nobody removes it as abandoned."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            if stream.read() != data:
                return False
            status = os.fstat(stream.fileno())
            if status.st_nlink == 1:  # with more, it is published too, and its date is told to clients
                with suppress(PermissionError):  # another user's, who may read it only
                    os.utime(stream.fileno())
            return status.st_nlink > 0
    except OSError:
        return False


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for part in sorted(folder.glob("[0-9a-f][0-9a-f]")):
        with os.scandir(part) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # a file that another process just renamed
                    if entry.is_file(follow_symlinks=False):
                        yield Path(entry.path), entry.stat(follow_symlinks=False)
