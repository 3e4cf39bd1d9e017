"""A folder on this machine, walked by handles (edge).

Each name is opened relative to the handle of its folder, without following links, and what was opened is what is
read: exchanging a file for a link in between changes nothing. Nothing is skipped. A skill that holds more than
was meant (an editor's backup, a ``.env``) should be noticed by the person who imports it, not by a rule here.
"""

import os
import stat
from collections.abc import Generator
from contextlib import closing
from datetime import datetime

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import FolderAddress
from repo_server.curation.sources.base import Fetched, claims_of
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import Entry, SourceTree
from signing.errors import FormatError, HostError, NotFoundError
from signing.format.manifest import MAX_DEPTH

_REPOSITORIES = {".git", ".hg", ".svn"}
# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def fetch(address: FolderAddress, *, limits: Limits, now: datetime) -> Fetched:
    """Return the files of the folder.

    Raises:
        NotFoundError: there is no such folder.
        FormatError: it holds something that cannot be part of a skill.
        HostError: something in it cannot be read.
    """
    try:
        root = os.open(address.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.lexists(address.path):
            raise FormatError(
                f"{address.path!r} is a file, and not a .zip, .tar.gz or .tgz",
                where="address",
                hint="name the folder that holds SKILL.md, or an archive of it",
            ) from error
        raise NotFoundError(f"there is no folder {address.path!r}", where="address") from error
    except (OSError, ValueError) as error:
        raise HostError(f"cannot open {address.path!r}: {error}", where="address") from error
    try:
        tree = SourceTree.of(_Walk(limits).folder(root, ""))
    except OSError as error:
        raise HostError(f"cannot read {address.path!r}: {error.strerror}", where="address") from error
    finally:
        os.close(root)
    claims = claims_of(tree)
    return Fetched(
        tree=tree,
        source="folder",
        address=address.recorded,
        resolved={"files_sha256": tree.digest},
        licence=claims.licence,
        suggested_version=claims.version,
        observations=claims.observations,
        fetched_at=now,
    )


class _Walk:
    """One walk, with what may still be read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._files = 0
        self._left = limits.max_total_bytes

    def folder(self, handle: int, prefix: str) -> Generator[Entry, None, None]:
        if prefix.count("/") >= MAX_DEPTH:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", where=visible(prefix, keep=""))
        for name in sorted(os.listdir(handle)):
            yield from self._name(handle, name, prefix + name)

    def _name(self, parent: int, name: str, path: str) -> Generator[Entry, None, None]:
        if name in _REPOSITORIES:
            raise FormatError(
                "is a repository's own data, not part of a skill",
                where=visible(path, keep=""),
                hint="import a commit instead (git+/path/to/repo@COMMIT#folder), or a copy without it",
            )
        # Asked before opening, because opening a device can already do something.
        seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode) and not stat.S_ISDIR(seen.st_mode):
            raise _special(path)
        handle = os.open(name, _OPEN, dir_fd=parent)
        try:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode):
                with closing(self.folder(handle, f"{path}/")) as inside:
                    yield from inside
            elif stat.S_ISREG(found.st_mode):
                yield path, self._read(handle, path), found.st_mode & 0o111 != 0
            else:
                raise _special(path)
        finally:
            os.close(handle)

    def _read(self, handle: int, path: str) -> bytes:
        self._files += 1
        if self._files > self._limits.max_files:
            raise FormatError(f"more than {self._limits.max_files} files", where="files")
        allowance = min(self._limits.max_file_bytes, self._left)
        with os.fdopen(handle, "rb", closefd=False) as stream:
            content = stream.read(allowance + 1)
        if len(content) > allowance:
            message = f"larger than {self._limits.max_file_bytes} bytes, or all files together too large"
            raise FormatError(message, where=visible(path, keep=""))
        self._left -= len(content)
        return content


def _special(path: str) -> FormatError:
    return FormatError(
        "is a link, a device, a socket or another special file",
        where=visible(path, keep=""),
        hint="a skill holds regular files only; copy the file that the link points at",
    )
