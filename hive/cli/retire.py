"""`hive retire-tenant`."""

import click

from hive.cli.context import clock, open_database, open_here, settings
from hive.jails.choose import open_host
from hive.retiring import Retirer
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.names import parse_tenant_id


@click.command("retire-tenant")
@click.argument("tenant_id", metavar="ID")
@click.option("--reason", default="retired by the operator", show_default=True)
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@click.option("--yes", is_flag=True, help="Do not ask for the name first.")
@console_option
@click.pass_context
def retire_tenant(
    ctx: click.Context,
    tenant_id: str,
    reason: str,
    jail_root_base: str | None,
    yes: bool,
    console: Console,
) -> None:
    """Undo the birth of tenant ID for good: its token, jobs, secrets and jail end; receipts and audit log stay.

    The name is never used again. A killed retirement is continued by the same command.
    """
    config = settings(ctx, jail_root_base=jail_root_base)
    tenant = parse_tenant_id(tenant_id)
    if not yes:
        if not console.can_ask():
            raise UsageError("nobody is there to confirm it", hint="give --yes")
        if click.prompt(f"Retire {tenant} for good? Type its name", err=True) != tenant:
            raise UsageError("not the tenant's name; nothing was changed")
    engine = open_database(config)
    here = open_here(config, engine)
    retirer = Retirer(engine=engine, host=open_host(config), state=config.state_dir, clock=clock, here=here)
    changed = retirer.retire(tenant, reason=reason)
    text = f"retired: {tenant}" if changed else f"{tenant} is retired already; nothing was changed"
    console.answer({"tenant_id": tenant, "status": "retired", "changed": changed}, text)
