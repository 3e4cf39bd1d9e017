"""`hive sweep`: once, or every so often."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from hive.cli.context import clock, open_client, open_database, open_here, settings
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.jails.choose import open_host
from hive.policy_loading import load_for_sweep, load_host_policy
from hive.sweep.events import note_failure, note_policy, note_sweep
from hive.sweep.sweeper import Sweeper, Swept
from hive.sweep.sweeping import sweep as sweep_all
from hive.vault.owner import owner_of
from hive.vault.provision import Provisioner
from signing.console import Console, console_option
from signing.errors import FormatError, PolicyError, SkillRepoError, UsageError
from signing.log_lines import log_json as start_log

_EVERY: Final = re.compile(r"([1-9][0-9]{0,3})([smh])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_SHORTEST: Final = timedelta(seconds=10)


@click.command()
@click.option("--every", metavar="5m", help="Go on for ever, with this pause (s, m, h).")
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@click.option("--strict", is_flag=True, help="End with 12 when anything was found.")
@click.option(
    "--log-json", is_flag=True, envvar="HIVE_LOG_JSON", help="Log one JSON object a line, on stderr."
)
@click.option("--log-names", is_flag=True, help="With tenants, paths and messages.")
@console_option
@click.pass_context
def sweep(
    ctx: click.Context,
    every: str | None,
    jail_root_base: str | None,
    strict: bool,
    log_json: bool,
    log_names: bool,
    console: Console,
) -> None:
    """Refresh trust, compare every living jail with its lock and with what is revoked by now, and act."""
    config = settings(ctx, jail_root_base=jail_root_base)
    if log_json:
        start_log(names=log_names)

    def tell(problem: SkillRepoError) -> None:
        if log_json:
            note_policy(problem, names=log_names)
        else:
            console.note(f"this sweep goes by the policy that was verified last: {problem.code}: {problem}")

    if every is None:
        found = _sweep(config, tell)
        if log_json:
            note_sweep(found, names=log_names)
        tenants = [item.to_json() for item in found]
        if strict and any(item.findings for item in found):
            console.note(_text(found))
            raise PolicyError("something was found", hint="hive status shows it too", tenants=tenants)
        console.answer({"tenants": tenants}, _text(found))
        return
    pause = _pause(every)
    while True:
        try:
            found = _sweep(config, tell)
        except Exception as caught:  # noqa: BLE001 - the next one may not fail, and an end would be nobody's look at jails
            error = caught if isinstance(caught, SkillRepoError) else _bug(caught)
            if log_json:
                note_failure(error, names=log_names)
            else:
                console.note(f"this sweep failed: {error.code}: {error}")
        else:
            if log_json:
                note_sweep(found, names=log_names)
            else:
                console.note(_text(found))
        time.sleep(pause.total_seconds())


def open_sweeper(config: HiveConfig, *, tell: Callable[[SkillRepoError], None] | None = None) -> Sweeper:
    """Return what sweeps this host.

    With ``tell``, a signed policy that cannot be verified now does not stop it: the one that was verified last is gone by,
    and ``tell`` hears why. Without, as for what gives a tenant something back, it does.

    Raises:
        UsageError, FormatError, NotFoundError: a setting is missing or wrong.
        VerificationError, TransportError: the policy has to be signed, and cannot be verified.
    """
    engine, host = open_database(config), open_host(config)
    here = open_here(config, engine)
    if tell is None:
        found = load_host_policy(config, engine=engine, open_client=open_client, now=clock())
    else:
        found, problem = load_for_sweep(config, engine=engine, open_client=open_client, now=clock())
        if problem is not None:
            tell(problem)
    return Sweeper(
        engine=engine,
        client=open_client(config),
        host=host,
        provisioner=Provisioner(
            engine=engine,
            host=host,
            state=config.state_dir,
            owner=owner_of(config) if config.jail_uid is not None else None,
            clock=clock,
            here=here,
        ),
        gates=open_gates(config),
        policy=found.policy,
        actions=found.actions,
        notifier=found.notifier,
        clock=clock,
        here=here,
    )


def _sweep(config: HiveConfig, tell: Callable[[SkillRepoError], None]) -> list[Swept]:
    """Sweep once; a service that sweeps for ever leaves no connection behind."""
    sweeper = open_sweeper(config, tell=tell)
    try:
        return sweep_all(sweeper)
    finally:
        sweeper.engine.dispose()


def _bug(caught: Exception) -> SkillRepoError:
    return SkillRepoError(f"{type(caught).__name__}: this is a bug of ours", hint="report it")


def _pause(text: str) -> timedelta:
    match = _EVERY.fullmatch(text)
    if match is None:
        raise FormatError("not a pause like 30s, 5m or 1h", where="--every")
    pause = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if pause < _SHORTEST:
        raise UsageError(f"at least {_SHORTEST.total_seconds():.0f}s", hint="--every 5m")
    return pause


def _text(found: list[Swept]) -> str:
    lines = []
    for item in found:
        lines.append(f"{item.tenant.tenant_id:15} {item.tenant.status:11} {len(item.findings)} findings")
        lines += [f"    {'new ' if finding in item.new else ''}{finding}" for finding in item.findings]
        if item.done:
            lines.append(f"    done: {', '.join(item.done)}")
        lines += [f"    COULD NOT {problem}" for problem in item.failed]
    return "\n".join(lines) or "no living jails"
