"""rctl(8) of FreeBSD: what the kernel denies a jail (edge).

The kernel keeps rules by the name of a jail, whether one runs or not; so a jail has them before its first process. A rule
that denies another amount of the same thing takes the place of the one before (kern_rctl.c, rctl_rule_add). What counts is
what is read afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hive.jails.limits import Limits, parse_rules, rule
from hive.packages.commands import CommandLimits, run_command
from signing.errors import FormatError, HostError
from signing.format.names import TenantId

_MAX_ANSWER: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rctl:
    """The host's rctl. ``seconds`` bounds how long one call may take."""

    program: str
    seconds: float

    def enforced(self, tenant: TenantId) -> Limits:
        """Return what the kernel denies a jail of this name.

        Raises:
            HostError: it cannot be asked, or does not limit at all.
        """
        try:
            rules = self._run([f"jail:{tenant}"]).decode("ascii", "replace")
            return parse_rules(rules, tenant, where="rctl")
        except FormatError as error:
            raise HostError(
                f"rctl does not answer as it should: {error}", hint="is it FreeBSD's own?"
            ) from error

    def enforce(self, tenant: TenantId, limits: Limits) -> None:
        """Have the kernel deny a jail of this name more than ``limits``.

        Raises:
            HostError: it does not do so.
        """
        try:
            found = self.enforced(tenant)
            if found != limits:
                self._change(tenant, found, limits)
        except HostError as error:
            if limits == Limits():
                return  # whoever cannot limit does not
            raise HostError(
                f"the jail {tenant} cannot be limited: {error}",
                where=self.program,
                hint="kern.racct.enable=1 has to stand in /boot/loader.conf; then boot",
            ) from error

    def _change(self, tenant: TenantId, found: Limits, limits: Limits) -> None:
        was = found.by_resource()
        for resource, value in limits.by_resource().items():
            if value is not None:
                self._run(["-a", rule(tenant, resource, value)])
            elif was[resource] is not None:
                self._run(["-r", f"jail:{tenant}:{resource}:deny"])
        if (now := self.enforced(tenant)) != limits:
            raise HostError(f"the kernel was told {limits.by_resource()}, and keeps {now.by_resource()}")

    def _run(self, words: Sequence[str]) -> bytes:
        within = CommandLimits(gap=self.seconds, finish=self.seconds, total=self.seconds, output=_MAX_ANSWER)
        return run_command([self.program, *words], limits=within)
