"""The folder of a ceremony, and the public keys that holders hand out, as files (edge)."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from repo_server.publishing.ceremony import Documents
from repo_server.storage.durable import write_durably
from signing.errors import FormatError, NotFoundError
from signing.keys import HeldKey
from signing.metadata import MAX_METADATA_BYTES, Signatories

_MAX_ROLES: Final = 40_000  # a next root with other people holds each role twice
_MAX_BYTES: Final = 256 << 20  # of all together: the folder comes by mail, or on somebody's stick


def read_public(path: Path) -> HeldKey:
    """Return the public key in the file ``path``.

    Raises:
        NotFoundError: there is none. FormatError: it is not one.
    """
    try:
        return HeldKey.parse(path.read_bytes()[:8192], where=path.name)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the documents in a ceremony's folder.

    Raises:
        NotFoundError: there are none. FormatError: too many, too large, or one is no plain file.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise NotFoundError(f"no ceremony in {folder}", hint="skillrepo root new CEREMONY …")
    documents, left = {}, _MAX_BYTES
    for path in paths:
        data = _read_plain(path, MAX_METADATA_BYTES + 1)
        left -= len(data)
        if left < 0 or len(paths) > _MAX_ROLES:
            raise FormatError("more than any ceremony needs", where=folder.name)
        documents[path.name.removesuffix(".json")] = data
    return documents


def write_folder(folder: Path, documents: Documents) -> None:
    """Write the documents of a ceremony; those that did not change are left alone."""
    for role, data in documents.items():
        path = folder / f"{role}.json"
        if not os.path.lexists(path) or _read_plain(path, len(data) + 1) != data:
            write_durably(path, data)


def _read_plain(path: Path, most: int) -> bytes:
    """Return at most so many bytes of a plain file: not of a link to elsewhere, nor of a pipe that never ends."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return stream.read(most)
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", where=path.name) from error
    raise FormatError("is no plain file", where=path.name)


def read_signatories(paths: Sequence[Path], threshold: int) -> Signatories:
    """Return the holders whose public keys these files hold."""
    return Signatories(keys=tuple(read_public(path) for path in paths), threshold=threshold)
