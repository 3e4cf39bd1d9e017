"""Blobs as local files: ``ab/ab12…`` (edge)."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from repo_server.storage.durable import sync_folder, write_durably, write_pieces_durably
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

_PREFIX: Final = 2
_CHUNK: Final = 1 << 20


class LocalBlobs:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, digest: Sha256) -> Path:
        """Return where the blob stands, if it is here."""
        return self._folder / parse_sha256(digest)[:_PREFIX] / digest

    def store(self, data: bytes) -> Sha256:
        """Keep ``data``, durable on return, and return its digest; a damaged copy is replaced.

        Raises:
            HostError: it cannot be written.
        """
        digest = sha256_of(data)
        path = self.path_of(digest)
        if self._holds(path, data):
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
            return self.path_of(digest).stat().st_size
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
            write_pieces_durably(path, _announced(pieces, digest, size), mode=0o444)

    def put_at(self, digest: Sha256, place: Path) -> None:
        """Make ``place`` a file with the bytes of the blob: a hard link, or a copy where that cannot be.

        Raises:
            NotFoundError: the blob is not here. HostError: it cannot be written.
        """
        try:
            os.link(self.path_of(digest), place)
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

    @staticmethod
    def _holds(path: Path, data: bytes) -> bool:
        try:
            return path.read_bytes() == data
        except OSError:
            return False


def _announced(pieces: Iterable[bytes], digest: Sha256, size: int) -> Iterator[bytes]:
    """Yield ``pieces``; what is not as announced is an error before the last of them is believed."""
    found, left = hashlib.sha256(), size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        found.update(piece)
        yield piece
    if left != 0 or found.hexdigest() != digest:
        raise DigestMismatchError(
            f"what came is not {digest[:16]}… with {size} bytes", hint="send it again; nothing of it was kept"
        )
