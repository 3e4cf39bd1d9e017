"""Putting aside what stands in a store and is not what it is named for (edge).

It is never read again by us; it stays for whoever asks how it came to be so. The oldest goes when there are too many.
"""

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from repo_client.handles import Directory
from signing import log_lines
from signing.errors import SkillRepoError
from signing.format.digest import Sha256

_MOST: Final = 16
_log: Final = logging.getLogger("repo_client.store")


def set_aside(store: Directory, name: str, item: Sha256, folder: Path) -> None:
    """Move ``name`` of ``store``, which is not ``item``, into ``folder``; where that fails, remove it.

    Raises:
        HostError: neither is possible.
    """
    tell_changed(item, intact=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Directory.open(folder) as aside:
            _make_room(aside, folder)
            kept = f"{item}-{secrets.token_hex(4)}"
            os.rename(name, kept, src_dir_fd=store.fileno(), dst_dir_fd=aside.fileno())
    except (OSError, SkillRepoError):
        store.remove_tree(name)


def tell_changed(item: Sha256, *, intact: bool) -> None:
    """Log that something in a store is not as it was kept; ``intact`` when its bytes were compared and are the same."""
    log_lines.note(_log, "store.changed", level=logging.WARNING, item=item, intact=intact)


def _make_room(aside: Directory, folder: Path) -> None:
    with contextlib.suppress(OSError):
        oldest = sorted(folder.iterdir(), key=lambda path: path.lstat().st_mtime_ns)
        for path in oldest[: max(0, len(oldest) - _MOST + 1)]:
            aside.remove_tree(path.name)
