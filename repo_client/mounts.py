"""Which file system an open folder stands on (edge).

The device number tells on FreeBSD, for nullfs too, and for every other file system on Linux. A bind mount there keeps
the number of the file system that it shows, and the kernel's own number of the mount is asked for: by statx, and where
that does not tell, by /proc, which takes ten times as long.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

# linux/stat.h, linux/fcntl.h: the layout of struct statx is part of the kernel's interface.
_STATX_BYTES: Final = 256
_MASK_BYTES: Final = 4
_MOUNT_AT: Final = 0x90
_MOUNT_BYTES: Final = 8
_STATX_MNT_ID: Final = 0x1000
_AT_EMPTY_PATH: Final = 0x1000


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
    if (statx := _statx()) is not None and (number := statx(descriptor)):
        return number
    # Without /proc the device number has to do.
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(":")
            if key == "mnt_id":
                return value.strip()
    return ""


@functools.cache
def _statx() -> Callable[[int], str] | None:
    """Return what asks statx for the mount of a descriptor, and answers with nothing when it was not told; or None."""
    try:
        function = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError):
        return None  # a libc without it
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]
    function.restype = ctypes.c_int

    def ask(descriptor: int) -> str:
        answer = ctypes.create_string_buffer(_STATX_BYTES)
        if function(descriptor, b"", _AT_EMPTY_PATH, _STATX_MNT_ID, answer) != 0:
            return ""
        told = int.from_bytes(answer.raw[:_MASK_BYTES], sys.byteorder)
        number = int.from_bytes(answer.raw[_MOUNT_AT : _MOUNT_AT + _MOUNT_BYTES], sys.byteorder)
        return str(number) if told & _STATX_MNT_ID else ""  # kernels before 5.8 do not tell

    return ask
