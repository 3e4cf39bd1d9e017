"""What this host notes about its jails beside Bastille's own folders (edge).

<prefix>/hive/                0700
jails/acme/                 0700   its lock is the right to change the jail
making, going             0400   the mark of a create or destroy that is not finished
addresses/10.17.89.2        0400   whose address it is
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hive.jails.host import MAX_MARK
from hive.jails.network import JailNetwork
from repo_client.entries import TEMPORARY_PREFIX, MissingPathError, UnsafePathError
from repo_client.handles import LOCK_SECONDS, Directory
from signing.errors import ConflictError, FormatError
from signing.format.names import TenantId

MAKING: Final = "making"
GOING: Final = "going"
_WORKING: Final = "working"
_TICK: Final = 0.1
_GROUP: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_JAILS: Final = "hive/jails"
_ADDRESSES: Final = "hive/addresses"
_MAX_ADDRESSES: Final = 1 << 17


class Notes:
    """The notes below one prefix. Methods raise HostError when the disk refuses."""

    def __init__(self, prefix: Path, *, seconds: float = LOCK_SECONDS) -> None:
        self._prefix, self._seconds = prefix, seconds

    @contextlib.contextmanager
    def locked(self, tenant: TenantId) -> Iterator[Directory]:
        """Yield the notes about one jail; nobody else of us changes the jail meanwhile.

        Raises:
            ConflictError: somebody does, for too long; or a command that outlived whoever called it.
        """
        with self._folder(f"{_JAILS}/{tenant}") as notes:
            notes.lock(seconds=self._seconds)
            _wait_ended(notes, self._seconds)
            yield notes

    @contextlib.contextmanager
    def working(self, tenant: TenantId) -> Iterator[Callable[[int], None]]:
        """Yield what notes the process group that changes the jail now; it is forgotten when it has ended.

        A lock would not outlive us, and a handle that the command inherits would come into the jail with it.
        """
        with self._folder(f"{_JAILS}/{tenant}") as notes:
            try:
                yield lambda group: notes.write_file(_WORKING, str(group).encode(), mode=0o400)
            finally:
                if _left_behind(notes) is None:
                    notes.remove_tree(_WORKING)

    def mark(self, tenant: TenantId, name: str) -> str | None:
        """Return the mark that is noted under ``name``, or None."""
        try:
            with (
                Directory.open(self._prefix) as prefix,
                prefix.descend(f"{_JAILS}/{tenant}") as notes,
            ):
                return mark_in(notes, name)
        except MissingPathError:
            return None

    def claim(self, tenant: TenantId, network: JailNetwork) -> str | None:
        """Return the address of the tenant's jail, from now on its own; None where none is ours to give.

        Raises:
            HostError: all are taken.
        """
        with self._addresses() as folder:
            owners = _owners(folder)
            for address, owner in owners.items():
                if owner == tenant and address in network.addresses():
                    return address
            chosen = network.choose(owners)
            if chosen is not None:
                folder.write_file(chosen, tenant.encode(), mode=0o400)
            return chosen

    def give_back(self, tenant: TenantId) -> None:
        """Let others have the tenant's address."""
        with self._addresses() as folder:
            for address, owner in _owners(folder).items():
                if owner == tenant:
                    folder.remove_tree(address)
            folder.sync()

    @contextlib.contextmanager
    def _addresses(self) -> Iterator[Directory]:
        with self._folder(_ADDRESSES) as folder:
            folder.lock()
            yield folder

    @contextlib.contextmanager
    def _folder(self, path: str) -> Iterator[Directory]:
        with (
            Directory.open(self._prefix) as prefix,
            prefix.descend(path, create=True, mode=0o700) as folder,
        ):
            yield folder


def _wait_ended(notes: Directory, seconds: float) -> None:
    """Wait until the command that a killed process left behind has ended too.

    Raises:
        ConflictError: it, or what it started, still runs.
    """
    end = time.monotonic() + seconds
    while (group := _left_behind(notes)) is not None:
        if time.monotonic() > end:
            raise ConflictError(
                f"process group {group} still works on it, which a killed command left behind",
                where=notes.label,
                hint=f"wait until it has ended, or kill it: kill -9 -{group}",
            )
        time.sleep(_TICK)
    notes.remove_tree(_WORKING)


def _left_behind(notes: Directory) -> int | None:
    try:
        found = notes.read_file(_WORKING, max_bytes=MAX_MARK).decode("ascii", "replace")
        noted = os.stat(_WORKING, dir_fd=notes.fileno()).st_mtime
    except MissingPathError:
        return None
    # Numbers are given anew after a boot.
    since_boot = noted > time.time() - time.monotonic()
    return int(found) if _GROUP.fullmatch(found) and since_boot and _runs(int(found)) else None


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def mark_in(folder: Directory, name: str) -> str | None:
    """Return the mark in the file ``name``; None when there is none, or something that is no mark."""
    try:
        return folder.read_file(name, max_bytes=MAX_MARK).decode("ascii", "replace")
    except (MissingPathError, UnsafePathError, FormatError):
        return None


def _owners(folder: Directory) -> dict[str, str]:
    """Return who has which address."""
    return {
        entry.name: folder.read_file(entry.name, max_bytes=MAX_MARK).decode("ascii", "replace")
        for entry in folder.entries(limit=_MAX_ADDRESSES)
        if entry.kind == "file" and not entry.name.startswith(TEMPORARY_PREFIX)
    }
