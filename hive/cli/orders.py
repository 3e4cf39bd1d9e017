"""`hive order-birth` and `hive orders`."""

from typing import Any, Final

import click

from hive.agents import jobs as book
from hive.agents.names import parse_job_id
from hive.cli.context import clock, open_database, settings
from hive.cli.gates import open_gates
from hive.cli.jobs import operator
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.orders import listing
from hive.orders.orders import LEASE_SECONDS
from hive.orders.orders import order as order_one
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.names import parse_tenant_id
from signing.format.pkg.names import Abi, parse_abi

_ANY: Final = "any"


@click.command()
@click.argument("tenant_id", metavar="ID")
@click.option(
    "--abi",
    metavar="ABI|any",
    help="Which jails it is for, like FreeBSD:14:amd64; default: those of this host; any: a profile without packages.",
)
@click.option("--priority", default=0, show_default=True, type=click.IntRange(-9, 9))
@click.option(
    "--lease",
    default=LEASE_SECONDS,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="Seconds that a host may be silent about it before another takes it over.",
)
@console_option
@click.pass_context
def order_birth(
    ctx: click.Context, tenant_id: str, abi: str | None, priority: int, lease: float, console: Console
) -> None:
    """Queue the birth of tenant ID for a host with jails of its ABI. Gates and consents are asked now, and at its birth."""
    config, tenant = settings(ctx), parse_tenant_id(tenant_id)
    wanted = _abi(config, abi)
    with transaction(open_database(config)) as session:
        job_id = order_one(
            session,
            tenant,
            abi=wanted,
            gates=open_gates(config),
            by=operator(),
            now=clock(),
            priority=priority,
            lease_seconds=lease,
        )
    console.answer(
        {"order": job_id, "tenant_id": tenant, "abi": wanted},
        f"ordered {job_id}: the birth of {tenant} on a host with {wanted or 'any'} jails\nnext: hive orders",
    )


@click.group(invoke_without_command=True)
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@console_option
@click.pass_context
def orders(ctx: click.Context, only_open: bool, limit: int, console: Console) -> None:
    """List ordered births, the newest last; show or cancel one."""
    if ctx.invoked_subcommand is not None:
        return
    with snapshot(open_database(settings(ctx))) as session:
        found = listing.list_orders(session, only_open=only_open, limit=limit)
    lines = [
        f"{item['order']}  {item['state']:9}  {item['tenant_id']:15}  {item['host'] or '-':15}  {item['reason']}".rstrip()
        for item in found
    ]
    console.answer({"orders": found}, "\n".join(lines) or "none")


@orders.command()
@click.argument("order_id", metavar="ORDER")
@console_option
@click.pass_context
def show(ctx: click.Context, order_id: str, console: Console) -> None:
    """Show ORDER with who tried it, and how that ended."""
    with snapshot(open_database(settings(ctx))) as session:
        found = listing.show_order(session, parse_job_id(order_id))
    lines = [f"{key:11} {_flat(value)}" for key, value in found.items() if key != "tries"]
    lines += [
        f"{'try':11} {item['fence']} on {item['host']}: {item['outcome'] or 'goes on'} {item['reason']}".rstrip()
        for item in found["tries"]
    ]
    console.answer(found, "\n".join(lines))


@orders.command()
@click.argument("order_id", metavar="ORDER")
@console_option
@click.pass_context
def cancel(ctx: click.Context, order_id: str, console: Console) -> None:
    """Cancel ORDER. A birth that goes on is not undone by that: hive retire-tenant does it."""
    with transaction(open_database(settings(ctx))) as session:
        name = parse_job_id(order_id)
        listing.check_is_order(session, name)
        book.cancel(session, book.load(session, name), by=operator(), now=clock())
    console.answer({"order": name, "state": "cancelled"}, f"cancelled {name}")


def _abi(config: HiveConfig, text: str | None) -> Abi | None:
    if text == _ANY:
        return None
    if text is not None:
        return parse_abi(text, where="--abi")
    if config.host_abi is None:
        raise UsageError("for which ABI?", hint="--abi FreeBSD:14:amd64, or --abi any")
    return config.host_abi


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "-" if value is None or value == "" else str(value)
