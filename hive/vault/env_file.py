"""The one file in a jail that holds secrets: ``usr/home/agent/.env``, 0600, of the jail's user.

Written whole or not at all, read and compared through the handle, and removed with whatever a killed write
left beside it.
"""

import hmac
import re
from typing import Final

from hive.jails.contained import JailRoot
from hive.jails.materialise import HOME
from hive.vault.dotenv import MAX_FILE_BYTES
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import FormatError

NAME: Final = ".env"
ENV_PATH: Final = f"{HOME}/{NAME}"
MODE: Final = 0o600
# What `JailRoot.install_file` calls a file that has not got its name yet: after a kill it may hold secrets.
_UNFINISHED: Final = re.compile(r"\.new-[0-9a-f]{16}", re.ASCII)


def install(root: JailRoot, content: bytes, *, owner: tuple[int, int]) -> bool:
    """Make ``content`` the jail's environment file; return whether it had to be written.

    Raises:
        UnsafePathError: a link or something else in the way.
        HostError: cannot be written; the old file stands.
    """
    _remove_unfinished(root)
    return root.install_file(ENV_PATH, content, mode=MODE, owner=owner)


def remove(root: JailRoot) -> bool:
    """Remove the environment file, and what stands in its place; return whether something did.

    Raises:
        UnsafePathError: a link on the way to it. HostError: cannot be removed.
    """
    try:
        with root.enter(HOME) as home:
            stood = home.find(NAME) is not None
    except MissingPathError:
        return False
    root.remove_tree(ENV_PATH)
    return _remove_unfinished(root) or stood


def load(root: JailRoot, *, owner: tuple[int, int]) -> bytes | None:
    """Return what the file holds, or None when nothing stands there.

    Raises:
        UnsafePathError: a link, hard or symbolic, not a file, or with another mode or owner than it was given.
        FormatError: longer than any that is written.
        HostError: cannot be read.
    """
    try:
        with root.enter(HOME) as home:
            found = home.load_file(NAME, max_bytes=MAX_FILE_BYTES, single_link=True)
    except MissingPathError:
        return None
    if found.mode != MODE or found.owner != owner:
        raise UnsafePathError(
            f"{NAME} has mode {found.mode:04o} and owner {found.owner[0]}:{found.owner[1]}",
            where=ENV_PATH,
            hint="treat its secrets as seen by others: rotate them in the vault, then hive provision",
        )
    return found.content


def is_as_written(root: JailRoot, content: bytes, *, owner: tuple[int, int]) -> bool:
    """Return whether the file is exactly ``content``, with its mode and owner.

    Raises:
        HostError: cannot be read.
    """
    try:
        found = load(root, owner=owner)
    except (UnsafePathError, FormatError):
        return False
    return found is not None and hmac.compare_digest(found, content)


def _remove_unfinished(root: JailRoot) -> bool:
    """Remove what a killed write left; the lock on the tenant's secrets says that nobody is at work."""
    try:
        home = root.enter(HOME)
    except MissingPathError:
        return False
    with home:
        names = _unfinished(home)
        for name in names:
            home.remove_tree(name)
        if names:
            home.sync()
    return bool(names)


def _unfinished(home: Directory) -> list[str]:
    return [
        entry.name
        for entry in home.entries()
        if entry.kind == "file" and _UNFINISHED.fullmatch(entry.name) is not None
    ]
