r"""Archives from outside: bytes in, entries out, nothing on disk.

    unpack(data, limits)  ->  [("SKILL.md", b"---\n…", False), ("scripts/run.sh", b"#!/bin/sh\n…", True)]

The kind of archive is decided by its first bytes, never by its name. If SKILL.md is not at the root but in the
one folder that holds everything, that folder is stripped, once. Everything else that is not a plain list of
regular files under limits is FormatError, and nothing but FormatError is raised, whatever the bytes are.
"""

from repo_server.curation.limits import Limits
from repo_server.curation.members import refusing
from repo_server.curation.tarreader import read_tar_gz
from repo_server.curation.tree import Entry
from repo_server.curation.zipreader import read_zip
from signing.errors import FormatError


def unpack(data: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the archive ``data``.

    Raises:
        FormatError: not a ZIP or ``.tar.gz`` file that may become a skill.
    """
    if data.startswith(b"PK"):
        return unpack_zip(data, limits)
    if data.startswith(b"\x1f\x8b"):
        return unpack_tar_gz(data, limits)
    raise FormatError(
        "is neither a ZIP nor a .tar.gz file",
        where="archive",
        hint="what counts is how the file begins, not what it is called",
    )


def unpack_zip(data: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the ZIP file ``data``.

    Raises:
        FormatError: see `unpack`.
    """
    _check_length(data, limits)
    with refusing("a ZIP file"):
        return read_zip(data, limits)


def unpack_tar_gz(data: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the ``.tar.gz`` file ``data``.

    Raises:
        FormatError: see `unpack`.
    """
    _check_length(data, limits)
    with refusing("a .tar.gz file"):
        return read_tar_gz(data, limits)


def _check_length(data: bytes, limits: Limits) -> None:
    if len(data) > limits.max_archive_bytes:
        raise FormatError(f"larger than {limits.max_archive_bytes} bytes", where="archive")
