"""What an environment consists of, as one digest (edge).

A lock says what was installed, not what is there: whatever runs as the same user can write into the environment
afterwards, an engine too where it is not confined. So every file counts, also the compiled ones, which is what is
run; links count by where they point, and what they point at is the system's.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of


def environment_sha256(place: Path, *, besides: str) -> Sha256:
    """Return the digest of every name, file and link below ``place``, but the file ``besides``.

    Raises:
        OSError: something there cannot be read, or is neither file, folder nor link.
    """
    listed = [item for item in _walk(os.fsencode(place), b"") if item[0] != besides]
    return sha256_of(canonical(sorted(listed)))


def _walk(folder: bytes, prefix: bytes) -> Iterator[list[str]]:
    """Yield path, kind and content's digest of everything in ``folder``."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            name = path.decode("utf-8", "backslashreplace")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                yield [name, "link", hashlib.sha256(os.readlink(entry.path)).hexdigest()]  # noqa: PTH115 - bytes
            elif stat.S_ISDIR(mode):
                yield [name, "folder", ""]
                yield from _walk(entry.path, path + b"/")
            elif stat.S_ISREG(mode):
                with open(entry.path, "rb") as stream:  # noqa: PTH123 - a name in bytes
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                yield [name, "executable" if mode & 0o111 else "file", digest]
            else:
                raise OSError(f"{name!a} is a device or a socket")
