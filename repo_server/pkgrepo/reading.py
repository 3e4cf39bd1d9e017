"""A package repository, in a folder or behind a URL: its files by name, with limits (edge).

    with open_repository(Path("…/.latest")) as repository:
        repository.load("meta.conf", max_bytes=MAX_META_BYTES)
        with repository.open("All/demo-base-1.0.0.pkg", max_bytes=entry.size) as stream: ...

In a folder every part of a name is opened relative to the handle of the part before it, and no link is followed: a link
in a repository shows one thing to whoever verifies it and another to whoever is served it. The folder itself may be
reached by links, as poudriere's ``.latest`` is. Behind a URL nothing but that server is asked (`sources.http`), and a
package goes into a file without a name.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Protocol, Self
from urllib.parse import quote

from signing.errors import FormatError, HostError, NotFoundError
from signing.format.pkg.compression import ByteSource
from signing.format.pkg.names import parse_package_path

MAX_META_BYTES: Final = 1 << 20
_PIECE: Final = 1 << 20
_SECONDS: Final = 6 * 60 * 60.0
# What pkg itself leaves as it is in a path.
_RAW: Final = "/~$,+@:"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RepositoryReader(Protocol):
    """Where the files of one repository are read. A context manager."""

    @property
    def label(self) -> str:
        """What a person calls it."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Let go of it."""

    def load(self, name: str, *, max_bytes: int) -> bytes:
        """Return a whole file.

        Raises:
            NotFoundError: there is none.
            FormatError: larger than ``max_bytes``, or not a plain file.
            HostError, TransportError: it cannot be read.
        """

    def open(self, name: str, *, max_bytes: int) -> AbstractContextManager[ByteSource]:
        """Return a file to be read from its beginning, and at most one byte further than ``max_bytes``.

        Raises:
            NotFoundError, FormatError, HostError, TransportError: as for `load`; not for its length.
        """


def open_repository(place: Path | str) -> RepositoryReader:
    """Return a reader of the repository at ``place``: a folder, or an ``https`` URL as text.

    Raises:
        NotFoundError, HostError: there is no such folder, or it cannot be opened.
        UsageError: the URL is not one that is asked.
    """
    if isinstance(place, str):
        return UrlReader(place)
    return FolderReader(place)


class FolderReader:
    """A repository in a folder."""

    def __init__(self, folder: Path) -> None:
        self.label = str(folder)
        try:
            self._root = os.open(folder, _FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"there is no folder {folder}", where="repository") from error
        except (OSError, ValueError) as error:
            raise HostError(f"cannot open {folder}: {error}", where="repository") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def load(self, name: str, *, max_bytes: int) -> bytes:
        """Return a whole file; see `RepositoryReader`."""
        with self.open(name, max_bytes=max_bytes) as stream:
            found = bytearray()
            while len(found) <= max_bytes and (piece := stream.read(min(_PIECE, max_bytes + 1 - len(found)))):
                found += piece
        if len(found) > max_bytes:
            raise FormatError(f"larger than {max_bytes} bytes", where=name)
        return bytes(found)

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[ByteSource]:
        """Return a file to be read from its beginning; see `RepositoryReader`."""
        *folders, file = parse_package_path(name, where="path").split("/")
        try:
            descriptor = self._descend(folders, file)
        except FileNotFoundError as error:
            raise NotFoundError("is not there", where=name) from error
        except OSError as error:
            # A link answers ELOOP or ENOTDIR here, EMLINK on FreeBSD.
            hint = "name the folder that poudriere's .latest points to" if not folders else ""
            raise FormatError(
                f"is a link, or cannot be opened: {error.strerror}", where=name, hint=hint
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FormatError("is not a file", where=name)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            yield _Reported(stream, name, max_bytes)

    def _descend(self, folders: list[str], file: str) -> int:
        handle = os.dup(self._root)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
            return os.open(file, _FILE, dir_fd=handle)
        finally:
            os.close(handle)


class UrlReader:
    """A repository behind a URL."""

    def __init__(self, url: str, *, seconds: float = _SECONDS) -> None:
        from repo_server.curation.limits import Limits  # noqa: PLC0415 - a folder needs no HTTP
        from repo_server.curation.sources.http import Web  # noqa: PLC0415

        self.label = url.rstrip("/")
        self._web = Web({"pkg": self.label}, limits=Limits(seconds=seconds))

    def __enter__(self) -> Self:
        self._web.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.__exit__()

    def load(self, name: str, *, max_bytes: int) -> bytes:
        """Return a whole file; see `RepositoryReader`."""
        found = bytearray()
        self._web.get(self._url(name), what=name, max_bytes=max_bytes, into=found.extend)
        return bytes(found)

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[ByteSource]:
        """Return a file to be read from its beginning; see `RepositoryReader`."""
        with tempfile.TemporaryFile(prefix="skillrepo-pkg-") as file:
            # What is longer than it has to be is no error of the transport: the reader sees one byte more, and says so.
            with suppress(_EnoughError):
                self._web.get(
                    self._url(name), what=name, max_bytes=max_bytes + _PIECE, into=_writer(file, max_bytes)
                )
            file.seek(0)
            yield _Reported(file, name, max_bytes)

    def _url(self, name: str) -> str:
        return self._web.at("pkg", f"/{quote(parse_package_path(name, where='path'), safe=_RAW)}")


class _Reported:
    """A file that is read at most one byte beyond ``max_bytes``, and whose errors are ours."""

    def __init__(self, stream: IO[bytes], name: str, max_bytes: int) -> None:
        self._stream, self._name, self._left = stream, name, max_bytes + 1

    def read(self, count: int, /) -> bytes:
        try:
            piece = self._stream.read(min(count, self._left))
        except OSError as error:
            raise HostError(f"cannot read: {error.strerror}", where=self._name) from error
        self._left -= len(piece)
        return piece


class _EnoughError(Exception):
    """More came than was wanted; what comes after it is not asked for."""


def _writer(file: IO[bytes], max_bytes: int) -> Callable[[bytes], None]:
    left = max_bytes + 1

    def write(piece: bytes) -> None:
        nonlocal left
        try:
            file.write(piece[:left])
        except OSError as error:
            raise HostError(f"no room for a package: {error.strerror}") from error
        left -= len(piece)
        if left <= 0:
            raise _EnoughError

    return write
