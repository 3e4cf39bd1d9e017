"""The folder of a ceremony, and the public keys that holders hand out, as files (edge)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from repo_server.publishing.ceremony import Documents
from repo_server.storage.durable import write_durably
from signing.errors import NotFoundError
from signing.keys import HeldKey
from signing.metadata import MAX_METADATA_BYTES, Signatories

_MAX_ROLES: Final = 20_000


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
    """Return the documents in a ceremony's folder."""
    paths = sorted(folder.glob("*.json"))[:_MAX_ROLES]
    if not paths:
        raise NotFoundError(f"no ceremony in {folder}", hint="skillrepo root new CEREMONY …")
    documents = {}
    for path in paths:
        with path.open("rb") as stream:
            documents[path.name.removesuffix(".json")] = stream.read(MAX_METADATA_BYTES + 1)
    return documents


def write_folder(folder: Path, documents: Documents) -> None:
    """Write the documents of a ceremony; those that did not change are left alone."""
    for role, data in documents.items():
        path = folder / f"{role}.json"
        if not path.exists() or path.read_bytes() != data:
            write_durably(path, data)


def read_signatories(paths: Sequence[Path], threshold: int) -> Signatories:
    """Return the holders whose public keys these files hold."""
    return Signatories(keys=tuple(read_public(path) for path in paths), threshold=threshold)
