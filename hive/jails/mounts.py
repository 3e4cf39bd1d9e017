"""What is mounted inside a jail is not the jail's (edge).

A release that all jails share, a folder of the host's, devices: `JailRoot` neither writes nor reads through a mount
point, as RESOLVE_NO_XDEV of openat2 would have it.
"""

import os

from repo_client import mounts
from repo_client.entries import MissingPathError, UnsafePathError, os_errors
from repo_client.handles import Directory
from repo_client.mounts import Mount
from repo_client.single_files import open_file


def mount_of(folder: Directory) -> Mount:
    """Return what ``folder`` stands on.

    Raises:
        HostError: the handle cannot be asked.
    """
    with os_errors("look at the folder", folder.label):
        return mounts.mount_of(folder.fileno())


def check_same_mount(folder: Directory, mount: Mount) -> None:
    """Return None when ``folder`` stands on ``mount``.

    Raises:
        UnsafePathError: another file system is mounted there, or above.
        HostError: the handle cannot be asked.
    """
    if mount_of(folder) != mount:
        raise UnsafePathError(
            "a file system is mounted here; what it shows is not the jail's",
            where=folder.label,
            component=folder.label.rpartition("/")[2],
            hint="stop the jail, or unmount it",
        )


def is_mounted(parent: Directory, name: str) -> bool:
    """Return whether something is mounted at the folder or file ``name`` of ``parent``; nothing there is no mount.

    Raises:
        UnsafePathError: a link, or neither of the two. HostError: cannot be asked.
    """
    try:
        found = parent.find(name)
        if found is not None and found.kind == "file":
            return _file_mount(parent, name) != mount_of(parent)
        with parent.descend(name) as folder:
            return mount_of(folder) != mount_of(parent)
    except MissingPathError:
        return False


def check_not_mounted(parent: Directory, name: str) -> None:
    """Return None when nothing is mounted at the file ``name`` of ``parent``; what is no file is judged elsewhere.

    Raises:
        UnsafePathError: another file is mounted there. HostError: cannot be asked.
    """
    found = parent.find(name)
    if found is not None and found.kind == "file" and is_mounted(parent, name):
        raise UnsafePathError(
            "a file is mounted here; what it shows is not the jail's",
            where=f"{parent.label}/{name}",
            component=name,
            hint="stop the jail, or unmount it",
        )


def _file_mount(parent: Directory, name: str) -> Mount:
    descriptor = open_file(parent, name)
    try:
        with os_errors("look at the file", f"{parent.label}/{name}"):
            return mounts.mount_of(descriptor)
    finally:
        os.close(descriptor)
