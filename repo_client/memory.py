"""What a metadata folder has seen, in one durable file of our own (edge).

    {"root":2,"snapshot":7,"timestamp":31}

python-tuf remembers by its own files, and writes them without a sync: a power cut can leave ``timestamp.json``
empty, and an empty file is no memory at all. This file is written whole and durably or not at all, so a state
older than one already seen is refused even then.
"""

import json
from pathlib import Path
from typing import Any, Final

from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from signing.errors import CouldNotVerifyError, RollbackError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical

_NAME: Final = "seen"
_MAX_BYTES: Final = 1024
ROLES: Final = ("root", "snapshot", "timestamp")


def remember(folder: Path) -> None:
    """Compare the metadata in ``folder`` with the highest versions seen there, and raise these.

    Raises:
        RollbackError: it is older than what was seen.
        CouldNotVerifyError: the memory, or the metadata, cannot be read.
        HostError: the memory cannot be written.
    """
    offered = {role: _version(folder / f"{role}.json") for role in ROLES}
    with Directory.open(folder) as handle:
        seen = _load(handle)
        for role in ROLES:
            if offered[role] < seen.get(role, 0):
                raise RollbackError(
                    f"{role} version {offered[role]} is offered, version {seen[role]} was seen here already",
                    hint="do not go on: the server (or a mirror) serves a state older than one already seen",
                )
        if offered != seen:
            handle.write_file(_NAME, canonical(offered), mode=0o600)


def root_version(folder: Path) -> int:
    """Return the version of the root that ``folder`` trusts.

    Raises:
        CouldNotVerifyError: it cannot be read.
    """
    return _version(folder / "root.json")


def _load(handle: Directory) -> dict[str, int]:
    try:
        data = handle.read_file(_NAME, max_bytes=_MAX_BYTES)
    except MissingPathError:
        return {}
    try:
        value: Any = parse_canonical(data, where=_NAME)
        return {role: int(value[role]) for role in ROLES}
    except (SkillRepoError, KeyError, TypeError, ValueError) as error:
        raise CouldNotVerifyError(
            f"the memory of what was seen ({handle.label}/{_NAME}) is damaged",
            hint="restore it from a backup; deleting it gives up the protection against old states",
        ) from error


def _version(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["signed"]["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CouldNotVerifyError(f"{path.name} cannot be read back") from error
