"""Documents that prove something to people, kept under their digests below the state folder (edge).

    STATE/documents/<sha256>     0400; a contract, an assessment, an invoice, the report of a self-test

Kept, because a path that was registered says nothing about the file that lies there a year later.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_client.entries import UnsafePathError
from repo_client.handles import Directory
from signing.errors import FormatError, HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of

MAX_DOCUMENT: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Documents:
    """The folder of kept documents."""

    folder: Path

    def keep(self, data: bytes) -> Sha256:
        """Keep ``data`` and return its digest; what is kept already is left alone.

        Raises:
            FormatError: empty, or larger than MAX_DOCUMENT. HostError: cannot be written.
        """
        if not data:
            raise FormatError("an empty document proves nothing")
        if len(data) > MAX_DOCUMENT:
            raise FormatError(f"larger than {MAX_DOCUMENT} bytes")
        digest = sha256_of(data)
        if not self.intact(digest):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with Directory.open(self.folder) as folder:
                folder.write_file(digest, data, mode=0o400)
        return digest

    def intact(self, digest: Sha256) -> bool:
        """Return whether the document is there and is what was registered. "Cannot be read" is no."""
        try:
            with Directory.open(self.folder) as folder:
                return sha256_of(folder.read_file(digest, max_bytes=MAX_DOCUMENT)) == digest
        except (HostError, UnsafePathError, FormatError):
            return False


def read_document(path: Path) -> bytes:
    """Return the bytes of the file that a person named.

    Raises:
        NotFoundError: cannot be read. FormatError: too large.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_DOCUMENT:
        raise FormatError(f"larger than {MAX_DOCUMENT} bytes", where=str(path))
    return data
