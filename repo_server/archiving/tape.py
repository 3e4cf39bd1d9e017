"""An archive as one file (edge): a tar that is the same, byte for byte, for one state and choice.

``ARCHIVE.json`` first, then the files by name; no owners, no times, no folders, nothing compressed a second time.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from repo_server.archiving.exporting import pieces_of
from repo_server.archiving.format import INDEX_NAME, ArchiveIndex
from repo_server.storage.durable import write_pieces_durably

_BLOCK: Final = 512
_MODE: Final = 0o444


def write_tar(archive: Path, index: ArchiveIndex, place: Path) -> None:
    """Write the archive in the folder ``archive`` to the file ``place``, durably and whole.

    Raises:
        HostError: it cannot be written.
    """
    write_pieces_durably(place, _pieces(archive, index))


def _pieces(archive: Path, index: ArchiveIndex) -> Iterator[bytes]:
    head = index.render()
    yield _header(INDEX_NAME, len(head))
    yield head + bytes(-len(head) % _BLOCK)
    for path, fact in sorted(index.files.items()):
        yield _header(path, fact.size)
        with (archive / path).open("rb") as stream:
            yield from pieces_of(stream)
        yield bytes(-fact.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def _header(path: str, size: int) -> bytes:
    member = tarfile.TarInfo(path)
    member.size, member.mode = size, _MODE
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
