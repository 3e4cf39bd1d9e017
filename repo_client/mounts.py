"""Which file system an open folder stands on (edge).

The device number tells on FreeBSD, for nullfs too, and for every other file system on Linux. A bind mount there keeps
the number of the file system that it shows, and the kernel's own number of the mount is asked for.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """A mounted file system; ``number`` is empty where the system does not number its mounts for us."""

    device: int
    number: str


def mount_of(descriptor: int) -> Mount:
    """Return what the open folder stands on.

    Raises:
        OSError: the descriptor cannot be asked.
    """
    return Mount(os.fstat(descriptor).st_dev, _number(descriptor) if sys.platform == "linux" else "")


def _number(descriptor: int) -> str:
    # Without /proc the device number has to do.
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(":")
            if key == "mnt_id":
                return value.strip()
    return ""
