"""Who owns the secrets in a jail: a number of the operator's, never what the jail says about its users (edge)."""

import os
import re
from typing import Final

from hive.config import HiveConfig
from signing.errors import FormatError, UsageError

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MAX_ID: Final = 2**32 - 2  # the last one means "unchanged" to chown


def owner_of(config: HiveConfig) -> tuple[int, int]:
    """Return uid and gid of the jail user.

    Raises:
        UsageError: not given, uid or gid 0, or not ours to give: only root gives files away, and nothing is
            skipped for who is not root.
        FormatError: not numbers.
    """
    uid, gid = (
        _number(config.need(name, f"the setting {name}, a number: the user that agents run as"), name)
        for name in ("jail_uid", "jail_gid")
    )
    if os.geteuid() != 0 and (uid != os.geteuid() or gid not in {os.getegid(), *os.getgroups()}):
        raise UsageError(
            f"only root can give files to {uid}:{gid}",
            hint="run this as root; for development set jail_uid and jail_gid to your own",
        )
    return uid, gid


def _number(text: str, name: str) -> int:
    if text.strip("0") == "" and text:
        raise UsageError(f"{name} cannot be 0: no agent runs as root", hint="make a user for agents")
    if not _NUMBER.fullmatch(text) or int(text) > _MAX_ID:
        raise FormatError("not the number of a user or group", where=name)
    return int(text)
