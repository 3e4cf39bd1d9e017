"""`hive spawn-agent`."""

from pathlib import Path

import click

from hive.cli.context import clock, open_database, open_here, settings
from hive.jails.choose import open_host
from hive.jails.host import JailHost
from hive.spawning import spawn, unspawn
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.names import TenantId, parse_tenant_id


@click.command()
@click.argument("tenant_id", metavar="TENANT")
@click.option(
    "--jail-name", help="The jail's name, for being sure: it is the tenant's id, and another is refused."
)
@click.option(
    "--jail-root",
    type=click.Path(path_type=Path),
    help="The root of TENANT's jail, for being sure: another one is refused.",
)
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@click.option("--remove", is_flag=True, help="Destroy the jail that was spawned.")
@click.option("--yes", is_flag=True, help="Do not ask for the name before it is destroyed.")
@console_option
@click.pass_context
def spawn_agent(
    ctx: click.Context,
    tenant_id: str,
    jail_name: str | None,
    jail_root: Path | None,
    jail_root_base: str | None,
    remove: bool,
    yes: bool,
    console: Console,
) -> None:
    """Make TENANT's jail, empty, and start it; a jail that was spawned already is only started.

    Nothing is admitted into it and the tenant stays as it is: that is what hive birth is for, which refuses while a
    spawned jail stands in its place.
    """
    config = settings(ctx, jail_root_base=jail_root_base)
    tenant = parse_tenant_id(tenant_id)
    host = open_host(config)
    _check_named(host, tenant, jail_name, jail_root)
    engine = open_database(config)
    here = open_here(config, engine)
    if remove:
        _ask(tenant, console, yes=yes)
        removed = unspawn(engine, host, config.state_dir, tenant, now=clock(), here=here)
        text = f"removed: the spawned jail of {tenant}" if removed else f"{tenant} has no spawned jail"
        console.answer({"tenant_id": tenant, "removed": removed}, text)
        return
    spawned = spawn(engine, host, config.state_dir, tenant, now=clock(), here=here)
    done = "created and started" if spawned.created else "started" if spawned.started else "runs already"
    console.answer(
        spawned.to_json(),
        f"{done}: {tenant}\n  jail  {spawned.jail_root}\nnothing was admitted into it; "
        f"before hive birth {tenant}: hive spawn-agent {tenant} --remove",
    )


def _check_named(host: JailHost, tenant: TenantId, name: str | None, root: Path | None) -> None:
    """Refuse what is not exactly the tenant's own jail: one tenant, one jail, one name.

    Raises:
        UsageError: another name, or another root.
    """
    if name is not None and name != tenant:
        raise UsageError(
            f"the jail of {tenant} is called {tenant}", hint="leave --jail-name out, or give that"
        )
    if root is not None and str(root) != host.describe(tenant):
        raise UsageError(
            f"the jail of {tenant} is at {host.describe(tenant)}", hint="leave --jail-root out, or give that"
        )


def _ask(tenant: TenantId, console: Console, *, yes: bool) -> None:
    """Let a person type the name of what is destroyed.

    Raises:
        UsageError: nobody is there to ask, or another name was typed.
    """
    if yes:
        return
    if not console.can_ask():
        raise UsageError("nobody is there to confirm it", hint="give --yes")
    if click.prompt(f"Destroy the jail of {tenant}? Type its name", err=True) != tenant:
        raise UsageError("not the jail's name; nothing was destroyed")
