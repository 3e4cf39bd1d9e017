"""A running jail on FreeBSD, as `jls` names it.

A jail is addressed by its exact name, and its number is noted: a jail that was stopped and started again, or another
one that took its name, has another number. What jls prints is read with suspicion; nothing is asked of the jail.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from hive.packages.commands import EMPTY_FOLDER, CommandLimits, run_command
from signing.errors import FormatError, HostError
from signing.format.canonical import parse_json
from signing.format.names import TenantId

_SECONDS: Final = 30.0
_MAX_ANSWER: Final = 1 << 20
_JID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class Way(StrEnum):
    """Whose pkg installs: the host's, attached to the jail, or the jail's own."""

    HOST = "host"
    JAIL = "jail"


class RunningJail(Protocol):
    """A jail that runs, and the command that installs one package in it from its standard input."""

    @property
    def name(self) -> str:
        """The jail's exact name."""

    def number(self) -> int:
        """Return the number under which the jail runs now.

        Raises:
            HostError: it does not run, or the host cannot be asked.
        """

    def add_command(self) -> Sequence[str]:
        """Return the words of the command, the program's absolute path first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the host's programs are. ``jail_pkg`` is the path inside a jail: not pkg(7), which would bootstrap."""

    jls: str = "/usr/sbin/jls"
    jexec: str = "/usr/sbin/jexec"
    pkg: str = "/usr/local/sbin/pkg"
    jail_pkg: str = "/usr/local/sbin/pkg"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJail:
    """The jail of a tenant on FreeBSD. ``seconds`` bounds how long jls may take."""

    tenant_id: TenantId
    way: Way = Way.JAIL
    programs: Programs = field(default_factory=Programs)
    seconds: float = _SECONDS

    @property
    def name(self) -> str:
        """The jail's exact name."""
        return self.tenant_id

    def number(self) -> int:
        """Return the number under which the jail runs now; see `RunningJail.number`."""
        command = [self.programs.jls, "--libxo", "json", "-j", self.name, "jid", "name"]
        limits = CommandLimits(gap=self.seconds, finish=self.seconds, output=_MAX_ANSWER)
        try:
            answer = run_command(command, limits=limits)
        except HostError as error:
            raise HostError(
                f"the jail {self.name} does not run, or cannot be asked for: {error}",
                hint=f"start it (service jail start {self.name})",
            ) from error
        return _number_of(answer, self.name)

    def add_command(self) -> Sequence[str]:
        """Return the words of the command; see `RunningJail.add_command`."""
        if self.way is Way.HOST:
            return [self.programs.pkg, "-j", self.name, "add", "-"]
        # -l gives the command a clean environment, so what pkg is to know is said after it.
        inner = ["/usr/bin/env", f"REPOS_DIR={EMPTY_FOLDER}", self.programs.jail_pkg, "add", "-"]
        return [self.programs.jexec, "-l", "-U", "root", self.name, *inner]


def _number_of(answer: bytes, name: str) -> int:
    """Return the number of the one jail that is called exactly ``name``.

    Raises:
        HostError: there is none, there are several, or this is not what jls prints.
    """
    try:
        listed: Any = parse_json(answer, where="jls", max_bytes=_MAX_ANSWER)["jail-information"]["jail"]
        numbers = [str(jail["jid"]) for jail in listed if jail["name"] == name]
    except (FormatError, KeyError, TypeError) as error:
        raise HostError("jls does not answer as it should", hint="is this FreeBSD's own jls?") from error
    if len(numbers) != 1 or not _JID.fullmatch(numbers[0]):
        raise HostError(f"no single jail is called {name}", hint="look with jls; names are exact")
    return int(numbers[0])
