"""Blobs as local files: ``ab/ab12…`` (edge)."""

from pathlib import Path
from typing import Final

from repo_server.storage.durable import sync_folder, write_durably
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

_PREFIX: Final = 2


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

    @staticmethod
    def _holds(path: Path, data: bytes) -> bool:
        try:
            return path.read_bytes() == data
        except OSError:
            return False
