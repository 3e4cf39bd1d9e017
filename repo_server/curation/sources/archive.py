"""An archive file on this machine: .zip, .tar.gz or .tgz (edge)."""

import os
import stat
from datetime import datetime

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import ArchiveAddress
from repo_server.curation.sources.base import Fetched, claims_of
from repo_server.curation.tree import SourceTree
from repo_server.curation.unpack import unpack
from signing.errors import FormatError, HostError, NotFoundError
from signing.format.digest import sha256_of


def fetch(address: ArchiveAddress, *, limits: Limits, now: datetime) -> Fetched:
    """Return the files in the archive; nothing of it touches the disk.

    Raises:
        NotFoundError: there is no such file.
        FormatError: it is not an archive that may become a skill.
        HostError: it cannot be read.
    """
    data = _read(address.path, limits)
    tree = SourceTree.of(unpack(data, limits))
    claims = claims_of(tree)
    return Fetched(
        tree=tree,
        source="archive",
        address=address.recorded,
        resolved={"archive_sha256": sha256_of(data), "files_sha256": tree.digest},
        licence=claims.licence,
        suggested_version=claims.version,
        observations=claims.observations,
        fetched_at=now,
    )


def _read(path: str, limits: Limits) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path!r}", where="address") from error
    except (OSError, ValueError) as error:
        raise HostError(f"cannot open {path!r}: {error}", where="address") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FormatError(f"{path!r} is not a regular file", where="address")
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(limits.max_archive_bytes + 1)
    if len(data) > limits.max_archive_bytes:
        raise FormatError(f"larger than {limits.max_archive_bytes} bytes", where="archive")
    return data
