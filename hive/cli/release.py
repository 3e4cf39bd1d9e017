"""`hive release-tenant`."""

import click

from hive.cli.context import settings
from hive.cli.sweep import open_sweeper
from hive.sweep.releasing import release_tenant as release
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.names import parse_tenant_id

_LONGEST = 500


@click.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@console_option
@click.pass_context
def release_tenant(
    ctx: click.Context, tenant_id: str, reason: str, jail_root_base: str | None, console: Console
) -> None:
    """Take the tenant ID out of quarantine, when a look at its jail and at the repository finds nothing now."""
    if not reason.strip() or len(reason) > _LONGEST:
        raise UsageError("a reason has to be given, in a few words", hint="--reason TEXT")
    name = parse_tenant_id(tenant_id)
    tenant = release(open_sweeper(settings(ctx, jail_root_base=jail_root_base)), name, reason=reason)
    console.answer(
        tenant.to_json(),
        f"{name} is {tenant.status} again\nnext: hive provision {name}, if its secrets were withdrawn",
    )
