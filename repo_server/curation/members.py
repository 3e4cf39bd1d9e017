"""Members of a foreign archive, taken one by one under limits.

Both archive readers push what they find into a `Collector`. It counts while they read, so that a bomb is
noticed when it goes off and not when it is finished, and it refuses what has no place in a skill: links,
devices, folders that are also files. Paths are parsed as they stand, before any folder is stripped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from repo_server.curation.limits import Limits
from repo_server.curation.tree import Entry
from signing.errors import FormatError, RejectedError
from signing.format.manifest import MANIFEST_NAME, SKILL_NAME, check_no_twins, parse_member_path


class Collector:
    """The entries read so far, and what may still come."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: list[Entry] = []
        self._folders: set[str] = set()
        self._left = limits.max_total_bytes

    def allowance(self, path: str) -> int:
        """Return how many bytes the file ``path`` may have, which is also how many may be read."""
        if len(self._entries) >= self._limits.max_files:
            raise FormatError(f"more than {self._limits.max_files} files", where="archive")
        parse_member_path(path, where="archive")
        return min(self._limits.max_file_bytes, self._left)

    def file(self, path: str, content: bytes, *, executable: bool) -> None:
        """Take a regular file."""
        if len(content) > self.allowance(path):
            raise self.too_large(path)
        self._left -= len(content)
        self._entries.append((path, content, executable))

    def folder(self, path: str) -> None:
        """Take note of a folder. Bundles have none of their own, so empty ones disappear."""
        if len(self._folders) >= self._limits.max_files:
            raise FormatError(f"more than {self._limits.max_files} folders", where="archive")
        self._folders.add(parse_member_path(path.removesuffix("/"), where="archive"))

    def too_large(self, path: str) -> FormatError:
        """Return the error for a file that unpacks to more than is left."""
        return FormatError(
            f"{path[:80]!a} unpacks to more than {self._limits.max_file_bytes} bytes, "
            f"or all files to more than {self._limits.max_total_bytes}",
            where="archive",
            hint="if nobody expects a file of this size, the archive is a bomb",
        )

    def finish(self) -> list[Entry]:
        """Return the entries, without the one folder that holds everything, if there is one."""
        paths = [parse_member_path(path, where="archive") for path, _, _ in self._entries]
        # MANIFEST.json is left to SourceTree, which says what is wrong with it.
        check_no_twins(path for path in paths if path != MANIFEST_NAME)
        if both := sorted(self._folders & set(paths)):
            raise FormatError(f"{both[0]!r} is a file and a folder", where="archive")
        return _without_top_folder(self._entries)


def _without_top_folder(entries: list[Entry]) -> list[Entry]:
    """Return ``entries`` seen from inside their one common folder, if SKILL.md is there and not at the root.

    Archives of a repository host, and those made by packing a folder, have such a folder. It is stripped once.
    """
    paths = [path for path, _, _ in entries]
    tops = {path.partition("/")[0] for path in paths}
    if SKILL_NAME in paths or len(tops) != 1:
        return entries
    top = f"{tops.pop()}/"
    if f"{top}{SKILL_NAME}" not in paths:
        return entries
    return [(path.removeprefix(top), content, executable) for path, content, executable in entries]


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever a library throws while it reads untrusted bytes into FormatError.

    zipfile alone raises BadZipFile, NotImplementedError, RuntimeError, ValueError, struct.error, EOFError,
    zlib.error, OverflowError, UnicodeDecodeError and more; which, depends on the Python release. A list would
    be a list of what we happened to meet.
    """
    try:
        yield
    except RejectedError:
        raise
    except Exception as error:
        raise FormatError(f"cannot be read as {what} ({type(error).__name__})", where="archive") from error
