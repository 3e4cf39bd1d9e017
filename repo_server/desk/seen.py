"""What this curator was shown last by a server, in one durable file of our own (edge).

    {"anchor_sha256":"8c…","roles":{"profiles":3,"revocations":7,"root":1,"skills-0a":12,…},"schema":"https://…"}

A server can show an old state whose signatures are all good. A signature on what continues it would take back what
was decided since, so a state older than one that was seen is refused. What the online key signs is not
remembered: whoever has the server has that key, and could say anything with it.

The file stands beside the mirror, not in it: a mirror may be thrown away, this memory not.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from repo_server.storage.durable import make_folder_durably, write_durably
from signing.errors import CouldNotVerifyError, HostError, RollbackError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import sha256_of
from signing.format.fields import Fields

SCHEMA: Final = "https://skills.clawdie.si/schema/desk-seen/v1"
_MAX_BYTES: Final = 2 << 20
_MAX_VERSION: Final = 2**53 - 1


def remember(path: Path, versions: Mapping[str, int], *, anchor: bytes) -> None:
    """Compare ``versions``, which were verified, with what was seen before under ``anchor``, and keep them.

    Raises:
        RollbackError: a role is older than what was seen. Nothing is kept.
        CouldNotVerifyError: the memory cannot be read. HostError: it cannot be written.
    """
    with _locked(path):
        seen = _load(path, anchor)
        _check(versions, seen)
        # What is not shown now is not forgotten: else it could be hidden once, and be shown older the next time.
        kept = {**seen, **versions}
        if kept != seen:
            document = {"schema": SCHEMA, "anchor_sha256": sha256_of(anchor), "roles": kept}
            write_durably(path, canonical(document), mode=0o600)


def check_not_older(path: Path, versions: Mapping[str, int], *, anchor: bytes) -> None:
    """Compare ``versions`` with what was seen before under ``anchor``, and keep nothing.

    Raises:
        RollbackError: a role is older than what was seen. CouldNotVerifyError: the memory cannot be read.
    """
    _check(versions, _load(path, anchor))


def _check(versions: Mapping[str, int], seen: Mapping[str, int]) -> None:
    for role in sorted(seen.keys() & versions.keys()):
        if versions[role] < seen[role]:
            raise RollbackError(
                f"{role} version {versions[role]} is shown, version {seen[role]} was seen here already",
                hint="do not decide or sign: the server shows a state older than one that you saw",
            )


def _load(path: Path, anchor: bytes) -> dict[str, int]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _damaged(path) from error
    try:
        fields = Fields.of(parse_canonical(data, where=path.name, max_bytes=_MAX_BYTES), where=path.name)
        fields.constant("schema", SCHEMA)
        fields.constant("anchor_sha256", sha256_of(anchor))
        versions = fields.mapping("roles")
        fields.done()
        roles = Fields.of(versions, where="roles")
        return {role: roles.integer(role, maximum=_MAX_VERSION) for role in versions}
    except SkillRepoError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> CouldNotVerifyError:
    return CouldNotVerifyError(
        f"the memory of what was seen ({path}) cannot be read, or belongs to another anchor",
        hint="restore it from a backup; deleting it gives up the protection against old states",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one command at a time compare and keep; it takes milliseconds, so the others wait."""
    try:
        make_folder_durably(path.parent)
        descriptor = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise HostError(
            f"cannot write {path}: {error.strerror}", hint="name another place: --mirror DIR"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
