"""An archive that was carried here, read in place of a server (edge): `skillrepo-client --from DIR`.

It is believed as little as a server: the same checks, the same memory of what was seen, the same ends. What is opened is below the
folder's handle, and never a link; what stands beside it is not read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from repo_client.single_files import open_file
from signing.errors import SkillRepoError

SCHEME: Final = "carried"
BASE: Final = f"{SCHEME}://archive/skills"
_PIECE: Final = 1 << 20
_NOT_FOUND: Final = 404


class FolderFetcher(FetcherInterface):  # type: ignore[misc, unused-ignore]
    """Fetches from the folder of an archive, by addresses below `BASE`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = url.removeprefix(f"{BASE}/")
        if path == url:
            raise DownloadError(f"{url} is not in the archive")
        try:
            with Directory.open(self._folder) as folder:
                above, _, name = f"skills/{path}".rpartition("/")
                with folder.descend(above) as inner:
                    descriptor = open_file(inner, name)
        except MissingPathError as error:
            raise DownloadHTTPError(f"{path} is not in the archive", _NOT_FOUND) from error
        except SkillRepoError as error:
            raise DownloadError(f"{path}: {error}") from error
        return _pieces(descriptor)


def _pieces(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
