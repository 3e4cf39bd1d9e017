"""`hive register-tenant`, `list-tenants` and `show-tenant`."""

import click

from hive import tenants
from hive.cli.context import clock, open_database, settings
from hive.db.session import transaction
from hive.tenants import Tenant, Tier
from signing.console import Console, console_option
from signing.format.names import Pin, parse_tenant_id


@click.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--tier", required=True, type=click.Choice([tier.value for tier in Tier]))
@click.option("--profile", required=True, metavar="NAME==VERSION", help="The pinned birth set.")
@click.option("--collection-id", help="The tenant's bucket in the vault.")
@click.option("--scratch", is_flag=True, help="For proofs only: never real data.")
@console_option
@click.pass_context
def register_tenant(
    ctx: click.Context,
    tenant_id: str,
    tier: str,
    profile: str,
    collection_id: str | None,
    scratch: bool,
    console: Console,
) -> None:
    """Add the tenant ID, which is also the name of its jail and of its bucket."""
    name, pin = parse_tenant_id(tenant_id), Pin.parse(profile, where="--profile")
    with transaction(open_database(settings(ctx), create=True)) as session:
        tenant = tenants.register(
            session,
            name,
            tier=Tier(tier),
            profile=pin,
            collection_id=collection_id,
            scratch=scratch,
            now=clock(),
        )
    console.answer(tenant.to_json(), f"registered {_line(tenant)}\nnext: hive birth {tenant.tenant_id}")


@click.command()
@console_option
@click.pass_context
def list_tenants(ctx: click.Context, console: Console) -> None:
    """List all tenants."""
    with transaction(open_database(settings(ctx))) as session:
        found = tenants.list_all(session)
    console.answer(
        {"tenants": [tenant.to_json() for tenant in found]},
        "\n".join(_line(tenant) for tenant in found)
        or "no tenants yet: hive register-tenant ID --tier … --profile …",
    )


@click.command()
@click.argument("tenant_id", metavar="ID")
@console_option
@click.pass_context
def show_tenant(ctx: click.Context, tenant_id: str, console: Console) -> None:
    """Show one tenant."""
    from hive.birth.journal import steps_of

    with transaction(open_database(settings(ctx))) as session:
        tenant = Tenant.of(tenants.load_row(session, parse_tenant_id(tenant_id)))
        steps = {name: state.value for name, state in steps_of(session, tenant.tenant_id).items()}
    facts = tenant.to_json()
    lines = [f"{key:14} {'-' if value is None else value}" for key, value in facts.items()]
    lines += [f"{'step':14} {name}: {state}" for name, state in steps.items()]
    console.answer({**facts, "birth_steps": steps}, "\n".join(lines))


def _line(tenant: Tenant) -> str:
    reason = f"  ({tenant.reason})" if tenant.reason else ""
    return f"{tenant.tenant_id:15} {tenant.tier.value:4}  {tenant.status.value:10} {tenant.profile}{reason}"
