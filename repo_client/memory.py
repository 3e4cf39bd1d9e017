"""What a metadata folder has seen, in three durable files of our own (edge).

    seen               {"online":"6b…","root":2,"snapshot":7,"timestamp":31}
    seen-withdrawals   {"count":3,"head":"e1…"}
    seen-packages      {"FreeBSD:14:amd64/latest":{"repository":"pkg.clawdie.si","serial":7}}

python-tuf remembers by its own files, and writes them without a sync: a power cut can leave ``timestamp.json``
empty, and an empty file is no memory at all. These files are written whole and durably or not at all, so a
state older than one already seen is refused even then. The second one notices what no version number shows: a
newer list of withdrawals that lost an entry. The third one notices a builder's key that signs an old index again.
"""

import json
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import Root

from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from signing.errors import CouldNotVerifyError, RollbackError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.pkg.index import RepoIndex
from signing.format.revocations import Revocations
from signing.metadata import parse
from signing.trusted import online_digest
from signing.withdrawals import check_continues

_NAME: Final = "seen"
_WITHDRAWALS: Final = "seen-withdrawals"
_PACKAGES: Final = "seen-packages"
_MAX_BYTES: Final = 1024
_MAX_PACKAGES_BYTES: Final = 1 << 16
_ROLES: Final = ("root", "snapshot", "timestamp")


def remember(folder: Path) -> None:
    """Compare the metadata in ``folder`` with the highest versions seen there, and raise these.

    Raises:
        RollbackError: it is older than what was seen.
        CouldNotVerifyError: the memory, or the metadata, cannot be read.
        HostError: the memory cannot be written.
    """
    root = _root(folder)
    offered = {
        "root": root.version,
        "snapshot": _version(folder / "snapshot.json"),
        "timestamp": _version(folder / "timestamp.json"),
    }
    online = online_digest(root)
    with Directory.open(folder) as handle:
        seen, seen_online = _load(handle)
        if offered["root"] > seen.get("root", 0) and online != seen_online:
            seen = {"root": seen.get("root", 0)}  # other online keys: their versions start anew
        for role, version in seen.items():
            if offered[role] < version:
                raise RollbackError(
                    f"{role} version {offered[role]} is offered, version {version} was seen here already",
                    hint="do not go on: the server (or a mirror) serves a state older than one already seen",
                )
        if offered != seen:
            handle.write_file(_NAME, canonical({**offered, "online": online}), mode=0o600)


def remember_withdrawals(folder: Path, revocations: Revocations) -> None:
    """Compare the list with the longest one seen here, and remember it.

    Raises:
        RollbackError: an entry that was seen is gone or altered.
        CouldNotVerifyError: the memory cannot be read.
        HostError: it cannot be written.
    """
    with Directory.open(folder) as handle:
        seen = _load_withdrawals(handle)
        if seen is not None:
            check_continues(revocations, count=seen[0], head=seen[1])
        offered = (len(revocations.entries), revocations.head())
        if offered != seen:
            memory = canonical({"count": offered[0], "head": offered[1]})
            handle.write_file(_WITHDRAWALS, memory, mode=0o600)


def remember_serial(folder: Path, index: RepoIndex) -> None:
    """Compare the serial of ``index`` with the highest one seen here, and remember it.

    Raises:
        RollbackError: it is lower, or the index is another repository's.
        CouldNotVerifyError: the memory cannot be read.
        HostError: it cannot be written.
    """
    with Directory.open(folder) as handle:
        seen = _load_serials(handle)
        repository, serial = seen.get(str(index.repo), (index.repository, 0))
        if repository != index.repository or index.serial < serial:
            raise RollbackError(
                f"{index.repo}: serial {index.serial} of {index.repository} is offered,"
                f" serial {serial} of {repository} was seen here already",
                hint="do not go on: the builder's key signs an older or another repository",
            )
        if index.serial > serial:
            seen[str(index.repo)] = (index.repository, index.serial)
            memory = {repo: {"repository": name, "serial": number} for repo, (name, number) in seen.items()}
            handle.write_file(_PACKAGES, canonical(memory), mode=0o600)


def root_version(folder: Path) -> int:
    """Return the version of the root that ``folder`` trusts.

    Raises:
        CouldNotVerifyError: it cannot be read.
    """
    return _root(folder).version


def _load(handle: Directory) -> tuple[dict[str, int], str]:
    try:
        data = handle.read_file(_NAME, max_bytes=_MAX_BYTES)
    except MissingPathError:
        return {}, ""
    try:
        value: Any = parse_canonical(data, where=_NAME)
        return {role: int(value[role]) for role in _ROLES}, str(value["online"])
    except (SkillRepoError, KeyError, TypeError, ValueError) as error:
        raise _damaged(handle, _NAME) from error


def _load_withdrawals(handle: Directory) -> tuple[int, Sha256] | None:
    try:
        data = handle.read_file(_WITHDRAWALS, max_bytes=_MAX_BYTES)
    except MissingPathError:
        return None
    try:
        value: Any = parse_canonical(data, where=_WITHDRAWALS)
        return int(value["count"]), parse_sha256(value["head"])
    except (SkillRepoError, KeyError, TypeError, ValueError) as error:
        raise _damaged(handle, _WITHDRAWALS) from error


def _load_serials(handle: Directory) -> dict[str, tuple[str, int]]:
    try:
        data = handle.read_file(_PACKAGES, max_bytes=_MAX_PACKAGES_BYTES)
    except MissingPathError:
        return {}
    try:
        value: Any = parse_canonical(data, where=_PACKAGES)
        return {repo: (str(item["repository"]), int(item["serial"])) for repo, item in value.items()}
    except (SkillRepoError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(handle, _PACKAGES) from error


def _damaged(handle: Directory, name: str) -> CouldNotVerifyError:
    return CouldNotVerifyError(
        f"the memory of what was seen ({handle.label}/{name}) is damaged",
        hint="restore it from a backup; deleting it gives up the protection against old states",
    )


def _root(folder: Path) -> Root:
    try:
        return parse((folder / "root.json").read_bytes(), Root, where="root.json").signed
    except (OSError, SkillRepoError) as error:
        raise CouldNotVerifyError("root.json cannot be read back") from error


def _version(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["signed"]["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CouldNotVerifyError(f"{path.name} cannot be read back") from error
