"""What the web service needs to know: its names and where the published trees are."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signing.errors import FormatError

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Settings of the web service. Host names are lower case and without a port.

    Raises:
        FormatError: a host name is not one, answers for both sites, or is a loopback name (those answer always).
    """

    skills_root: Path
    pkg_root: Path
    skills_hosts: tuple[str, ...] = ("skills.clawdie.si",)
    pkg_hosts: tuple[str, ...] = ("pkg.clawdie.si",)

    def __post_init__(self) -> None:
        for field, hosts in (("skills_hosts", self.skills_hosts), ("pkg_hosts", self.pkg_hosts)):
            for host in hosts:
                if not _HOST_NAME.fullmatch(host):
                    raise FormatError(f"{host[:80]!a} is not a host name (lower case, no port)", where=field)
                if host in LOOPBACK_HOSTS:
                    raise FormatError(f"{host} is a loopback name, which reaches both sites", where=field)
        if both := set(self.skills_hosts) & set(self.pkg_hosts):
            raise FormatError(f"{min(both)} cannot be both sites", where="pkg_hosts")
