"""The commands of Bastille that are called, each checked before and after (edge).

Bastille finds its target by guessing: a name that is no jail's is taken for the beginning of one, then for a tag; ``all``
is every jail, and some words are releases. It says 0 when it did nothing. And whatever runs ``sh`` reads its environment.
So a name is checked to be exactly a jail's before every call, the state of things afterwards counts and not the exit
status, and nothing of our environment is handed on (`hive.packages.commands`).

Called: create, start, stop, destroy, list; beside them jls, jail -R, mount -p, umount and rctl. Never: cp, rcp, mount and template,
which follow links that a tenant made; cmd and pkg, which are jexec with a guess before it; update and upgrade, which run a
tenant's program as the host's root; limits, which wants a jail that runs (`hive.jails.rctl`).
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hive.jails import gate
from hive.jails.bastille_listing import MAX_ANSWER, ListedJail, RunningNow, parse_jls, parse_list
from hive.jails.bastille_notes import Notes
from hive.jails.network import JailNetwork
from hive.jails.rctl import Rctl
from hive.packages.commands import CommandLimits, run_command
from hive.packages.running import Programs
from hive.tenants import OTHER_MEANINGS
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import ConflictError, FormatError, HostError, NotFoundError, UsageError
from signing.format.names import TenantId

PREFIX_MODE: Final = 0o750
JAIL_CONF: Final = "jail.conf"
_FSTAB_FIELDS: Final = 6
_MAX_MOUNTS: Final = 1 << 24  # of all jails together


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long commands may take, in seconds: making a jail copies a system; starting one runs its rc.

    ``others`` is how long somebody else who changes the same jail is waited for.
    """

    create: float = 1800.0
    change: float = 600.0
    stop: float = 180.0
    ask: float = 30.0
    others: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bastille:
    """Bastille on this host. ``prefix`` is its folder; programs are named by their absolute paths."""

    prefix: Path
    program: str = "/usr/local/bin/bastille"
    jail: str = "/usr/sbin/jail"
    mount: str = "/sbin/mount"
    umount: str = "/sbin/umount"
    rctl: str = "/usr/bin/rctl"
    programs: Programs = field(default_factory=Programs)
    patience: Patience = field(default_factory=Patience)

    @property
    def jails(self) -> Path:
        """The folder of the jails."""
        return self.prefix / "jails"

    @property
    def rules(self) -> Rctl:
        """What the kernel denies jails."""
        return Rctl(program=self.rctl, seconds=self.patience.ask)

    def check_prefix(self) -> None:
        """Return None when Bastille would work in its prefix.

        Raises:
            HostError: it is not there, or has not exactly the mode without which every command ends at once.
        """
        with Directory.open(self.prefix) as folder:
            mode = folder.status().st_mode & 0o7777
        if mode != PREFIX_MODE:
            raise HostError(
                f"the prefix of Bastille has mode {mode:04o}, and it works with 0750 only",
                where=str(self.prefix),
                hint=f"chmod 0750 {self.prefix}",
            )

    def knows(self, tenant: TenantId) -> bool:
        """Return whether Bastille calls a jail exactly so; by its own rule, which is a jail.conf in its folder.

        Raises:
            HostError: cannot be looked at.
        """
        try:
            with Directory.open(self.jails) as jails, jails.descend(tenant) as folder:
                found = folder.find(JAIL_CONF)
        except (MissingPathError, UnsafePathError):
            return False
        return found is not None and found.kind == "file"

    def running(self, tenant: TenantId) -> RunningNow | None:
        """Return the tenant's jail as it runs, or None.

        Raises:
            HostError: the host cannot be asked, or what runs under this name has another root.
        """
        command = [self.programs.jls, "--libxo", "json", "jid", "name", "path"]
        try:
            found = [jail for jail in parse_jls(self._ask(command)) if jail.name == tenant]
        except FormatError as error:
            raise HostError(
                f"jls does not answer as it should: {error}", hint="is it FreeBSD's own?"
            ) from error
        if found and found[0].path != str(self.root(tenant)):
            raise HostError(
                f"a jail {tenant} runs at {found[0].path}",
                where=str(self.root(tenant)),
                hint="it is not this tenant's; look with jls",
            )
        return found[0] if found else None

    def listed(self) -> tuple[ListedJail, ...]:
        """Return all that Bastille lists, for people: it runs programs inside the jails to make this list.

        Raises:
            HostError: the host cannot be asked, or the answer may be forged by a tenant.
        """
        self.check_prefix()
        try:
            return parse_list(self._ask([self.program, "list", "-j"]))
        except FormatError as error:
            raise HostError(f"the list cannot be believed: {error}", hint="look with jls") from error

    def root(self, tenant: TenantId) -> Path:
        """Return the path of the jail's root."""
        return self.jails / tenant / "root"

    def create(self, tenant: TenantId, release: str, network: JailNetwork, address: str | None) -> None:
        """Make a thin jail that does not start with the host. It runs afterwards: Bastille starts what it makes.

        Raises:
            UsageError: the name means something else to Bastille.
            ConflictError: there is a jail of this name.
            HostError: it was not made, or only in part.
        """
        check_name(tenant)
        words = ["create", "--no-boot", *network.options(), tenant, release, *network.operands(address)]
        try:
            self._run_noted(tenant, words)
        except HostError as error:
            if "already exists" in str(error):
                raise ConflictError(
                    f"a jail {tenant} is there already", where=str(self.root(tenant))
                ) from error
            raise
        if not self.knows(tenant):
            raise HostError("Bastille says that it made the jail, and did not", where=str(self.root(tenant)))

    def start(self, tenant: TenantId) -> None:
        """Start a jail; what it starts stays.

        Raises:
            NotFoundError, UsageError: see `_exactly`. HostError: it failed, or the jail does not run afterwards.
        """
        self._exactly(tenant)
        self._run(["start", tenant], self.patience.change, stays=True)
        if self.running(tenant) is None:
            raise HostError(
                f"Bastille says that it started {tenant}, and it does not run",
                where=str(self.root(tenant)),
                hint=f"bastille start -v {tenant} says why; look at its console log",
            )

    def stop(self, tenant: TenantId) -> bool:
        """Stop a jail, and return whether that took force. That it does not run counts, whatever Bastille says.

        Stopping runs the jail's own rc.shutdown, which a tenant can let hang; then the kernel removes the jail with all
        that runs in it, and what is mounted in it stays mounted.

        Raises:
            NotFoundError, UsageError: see `_exactly`. HostError: it still runs.
        """
        self._exactly(tenant)
        with contextlib.suppress(HostError):
            self._run(["stop", tenant], self.patience.stop)
        if self.running(tenant) is None:
            return False
        self._ask([self.jail, "-R", tenant])  # without its configuration: nothing of the jail is run
        if self.running(tenant) is not None:
            raise HostError(f"the jail {tenant} cannot be stopped", where=str(self.root(tenant)))
        return True

    def mounted(self, tenant: TenantId) -> tuple[str, ...]:
        """Return where something is mounted in the tenant's jail, by the kernel's list, which keeps the names of then.

        A tenant who renames a folder takes what is mounted in it along: no path leads there any more, and this list does.

        Raises:
            HostError: the host cannot be asked.
        """
        limits = _within(self.patience.ask, output=_MAX_MOUNTS)
        lines = run_command([self.mount, "-p"], limits=limits).decode("utf-8", "replace").split("\n")
        below = f"{self.root(tenant)}/"
        words = [line.split() for line in lines if below in line]
        if not any(lines) or any(len(fields) != _FSTAB_FIELDS for fields in words):
            raise HostError(
                "mount does not answer as it should", where=self.mount, hint="is it FreeBSD's own?"
            )
        return tuple(fields[1] for fields in words if fields[1].startswith(below))

    def unmount(self, path: Path) -> None:
        """Unmount what is mounted at ``path``, on whose way there is no link, and nobody who could make one.

        Raises:
            HostError: it is in use, or nothing is mounted there.
        """
        self._ask([self.umount, str(path)])

    def destroy(self, tenant: TenantId) -> None:
        """Destroy a jail. That nothing of it is left counts, whatever Bastille says.

        Raises:
            NotFoundError, UsageError: see `_exactly`. HostError: something is left.
        """
        self._exactly(tenant)
        failure = ""
        try:
            self._run_noted(tenant, ["destroy", "-a", "-f", "-y", tenant])
        except HostError as error:
            failure = f": {error}"
        with Directory.open(self.jails) as jails:
            left = jails.find(tenant) is not None
        if left or self.running(tenant) is not None:
            raise HostError(
                f"the jail {tenant} is not destroyed{failure}",
                where=str(self.jails / tenant),
                hint="unmount what is mounted in it (mount), then run this again",
            )

    def _exactly(self, tenant: TenantId) -> None:
        """Return None when Bastille would take ``tenant`` for exactly the jail of that name.

        Raises:
            UsageError: the name means something else to it. NotFoundError: there is no such jail, so it would guess.
            HostError: its prefix is not as it has to be.
        """
        check_name(tenant)
        self.check_prefix()
        if not self.knows(tenant):
            raise NotFoundError(f"no jail {tenant}", where=str(self.root(tenant)))

    def _run(self, words: Sequence[str], seconds: float, *, stays: bool = False) -> None:
        self.check_prefix()
        run_command([self.program, *words], limits=_within(seconds), stays=stays)

    def _run_noted(self, tenant: TenantId, words: Sequence[str]) -> None:
        """Run what must not go on unnoticed when we are killed: two of them in one folder make neither a jail nor none."""
        self.check_prefix()
        command = [sys.executable, "-I", "-S", gate.__file__, self.program, *words]
        with Notes(self.prefix).working(tenant) as started:
            run_command(command, iter([b"\n"]), limits=_within(self.patience.create), started=started)

    def _ask(self, command: Sequence[str]) -> bytes:
        return run_command(command, limits=_within(self.patience.ask))


def _within(seconds: float, *, output: int = MAX_ANSWER) -> CommandLimits:
    return CommandLimits(gap=seconds, finish=seconds, total=seconds, output=output)


def check_name(tenant: TenantId) -> None:
    """Return None when Bastille takes ``tenant`` for a name.

    Raises:
        UsageError: ``all`` is every jail to it, and some words are releases.
    """
    if tenant in OTHER_MEANINGS:
        raise UsageError(
            f"{tenant} means something else to Bastille, so no jail is called so",
            hint="register the tenant under another id",
        )
