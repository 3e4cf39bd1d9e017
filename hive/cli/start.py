"""`hive start-tenant`."""

import time
from collections.abc import Sequence

import click

from hive.cli.context import settings
from hive.cli.sweep import open_sweeper
from signing.console import Console, console_option
from signing.errors import NotEntitledError, SkillRepoError, UsageError
from signing.format.names import TenantId, parse_tenant_id

_AGAIN = 15.0


@click.command()
@click.argument("tenant_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--all", "everybody", is_flag=True, help="Every tenant whose jail ought to run and stands still."
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="Try again so long what cannot be started yet: at boot, the repository may not answer at once.",
)
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@console_option
@click.pass_context
def start_tenant(
    ctx: click.Context,
    tenant_ids: Sequence[str],
    everybody: bool,
    wait: float,
    jail_root_base: str | None,
    console: Console,
) -> None:
    """Start jails that stand still, as after a reboot, each when a look at it finds nothing against that.

    Bastille's own start looks at nothing. Ends with 12 when one of them may not be started, or could not be.
    """
    from hive.sweep.starting import start_tenant as start
    from hive.sweep.starting import who_stands_still

    if bool(tenant_ids) == everybody:
        raise UsageError("who?", hint="name tenants, or give --all")
    config = settings(ctx, jail_root_base=jail_root_base)
    names = [parse_tenant_id(text) for text in tenant_ids]
    waiting = names or who_stands_still(open_sweeper(config))
    begun, started, refused = time.monotonic(), list[TenantId](), dict[TenantId, SkillRepoError]()
    while True:
        refused = {}
        for name in waiting:
            try:
                started += [name] if start(open_sweeper(config), name) else []
            except SkillRepoError as error:
                refused[name] = error
                console.note(f"{name}: {error.code}: {error}")
        waiting = list(refused)
        if not waiting or time.monotonic() - begun + _AGAIN > wait:
            break
        time.sleep(_AGAIN)
    if refused:
        raise NotEntitledError(
            f"{len(refused)} not started: {', '.join(sorted(refused))}",
            hint="hive status says why, and what to do",
            started=started,
            refused={name: error.to_document() for name, error in refused.items()},
        )
    said = ", ".join(started) if started else "no jail that ought to run stood still"
    console.answer({"started": started}, f"started: {said}" if started else said)
