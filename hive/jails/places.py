"""Places in a jail at which the host shows something of its own (edge).

A folder is shown at a folder and a file at a file (nullfs, FreeBSD 14 and newer for files). The place belongs to the tenant,
who may have left anything there; what is shown is the host's alone. Called while the jail stands still.
"""

import stat
from pathlib import Path

from hive.jails.contained import JailRoot
from hive.jails.mounts import check_not_mounted
from repo_client.entries import EntryKind, MissingPathError, UnsafePathError
from signing.errors import ConflictError

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check_source(source: Path) -> EntryKind:
    """Return whether ``source`` is a folder or a file that nobody but the host can change, or replace.

    Raises:
        UnsafePathError: it is neither, a link is on the way, or somebody else may write there.
        HostError: cannot be looked at; MissingPathError when it is not there.
    """
    if not source.is_file() or source.is_symlink():
        JailRoot.open(source).close()
        return "folder"
    with JailRoot.open(source.parent) as above, above.enter("") as folder:
        found = folder.find(source.name)
    if found is None or found.kind != "file" or found.mode & _WRITABLE_BY_OTHERS:
        raise UnsafePathError("not a file, or one that others may write", where=str(source))
    return "file"


def make_place(root: JailRoot, place: str, kind: EntryKind, *, empty: bool) -> None:
    """Make an empty folder or file at ``place``, where nothing is.

    Args:
        root: of the jail.
        place: below it.
        kind: of what is to be shown there.
        empty: what is there already has to be empty, or it would be hidden.

    Raises:
        ConflictError: something stands there.
        UnsafePathError: a link on the way, or a thing of another kind. HostError: cannot be made.
    """
    above, _, name = place.rpartition("/")
    if kind == "folder":
        with root.enter(place, create=True) as folder:
            taken = bool(folder.entries())
    else:
        with root.enter(above, create=True) as folder:
            found = folder.find(name)
            if found is None:
                folder.create_file(name, b"", 0o444)
            elif found.kind != "file":
                raise UnsafePathError(f"{name!a} is no file", where=folder.label, component=name)
            taken = found is not None and found.size > 0
    if empty and taken:
        raise ConflictError("something stands where it is to be shown", where=f"{folder.label}/{name}")


def check_mountable(root: JailRoot, place: str) -> None:
    """Return None when a folder or a file of the jail's own stands at ``place``, and no link on the way.

    Raises:
        UnsafePathError: a link, a thing of another kind, or something is mounted there already.
        HostError: cannot be looked at; MissingPathError when it is not there.
    """
    above, _, name = place.rpartition("/")
    with root.enter(above) as folder:
        found = folder.find(name)
        if found is None:
            raise MissingPathError(
                "nothing is there at which the host could show something", where=folder.label
            )
        if found.kind == "file":
            check_not_mounted(folder, name)
            return
    root.enter(place).close()
