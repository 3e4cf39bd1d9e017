"""`hive hosts`: machines, what they can and what they cost."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from hive import hosts as registry
from hive.agents.names import parse_agent_id
from hive.cli.context import clock, open_database, settings
from hive.db.session import snapshot, transaction
from hive.documents import Documents, read_document
from hive.hosts import Cost, Machine, Provenance, Role
from signing.console import Console, console_option
from signing.errors import FormatError, UsageError

_AMOUNT: Final = re.compile(r"([0-9]{1,8})(?:\.([0-9]{2}))? ([A-Z]{3})", re.ASCII)


@click.group()
def hosts() -> None:
    """Machines, what they can and what they cost. Advice rests on proven costs only."""


@hosts.command("list")
@console_option
@click.pass_context
def list_(ctx: click.Context, console: Console) -> None:
    """List all machines."""
    found = _machines(ctx)
    console.answer(
        {"hosts": [machine.to_json() for machine in found]},
        "\n".join(_line(machine) for machine in found) or "none yet: hive hosts set HOST --role womb",
    )


@hosts.command("set")
@click.argument("host", metavar="HOST")
@click.option("--system", default="FreeBSD", help="Its operating system and release.")
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice([role.value for role in Role])
)
@click.option("--capability", "capabilities", multiple=True, help="What jobs it can do; repeatable.")
@click.option("--note", default="")
@console_option
@click.pass_context
def set_(
    ctx: click.Context,
    host: str,
    system: str,
    roles: tuple[str, ...],
    capabilities: tuple[str, ...],
    note: str,
    console: Console,
) -> None:
    """Add HOST, or say anew what it is for."""
    with transaction(open_database(settings(ctx), create=True)) as session:
        registry.put(
            session,
            host,
            system=system,
            roles=[Role(role) for role in roles],
            capabilities=capabilities,
            note=note,
            now=clock(),
        )
    console.answer({"host": host}, f"{host}: {', '.join(roles)}")


@hosts.command()
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@console_option
@click.pass_context
def join(ctx: click.Context, jail_root_base: str | None, console: Console) -> None:
    """Let this machine be the host that its settings name (host = "NAME"): births may be ordered, and jails are its own.

    Jails that stand here already and are older than the name become its own; others are not guessed at.
    """
    from hive.host_key import HostKey
    from hive.jails.choose import open_host
    from hive.joining import join as join_here
    from hive.orders.needs import offers_of

    config = settings(ctx, jail_root_base=jail_root_base)
    here = config.host_name
    if here is None:
        raise UsageError("this machine has no name", hint='host = "NAME" in the settings file')
    jails, offers = open_host(config), offers_of(config.host_abi)
    engine = open_database(config, create=True)
    keyid = HostKey.open(config.state_dir).held.keyid
    with transaction(engine) as session:
        joined = join_here(session, here, keyid=keyid, jails=jails, offers=offers, now=clock())
    taken = list(joined.taken_over)
    console.answer(
        {"host": here, "keyid": keyid, "taken_over": taken, "already": joined.already},
        f"{here}: joined{' before' if joined.already else ''}, offers {', '.join(sorted(offers))}"
        + (f"\njails here: {', '.join(taken)}" if taken else "")
        + "\nnext: hive womb, which gives birth to what is ordered",
    )


@hosts.command()
@click.argument("host", metavar="HOST")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@console_option
@click.pass_context
def leave(ctx: click.Context, host: str, reason: str, console: Console) -> None:
    """Free the name of HOST, a machine that is gone for good and where nobody lives, for another machine.

    Births that it did not finish begin anew elsewhere.
    """
    from hive.joining import leave as leave_for_good

    name = parse_agent_id(host, where="HOST")
    with transaction(open_database(settings(ctx))) as session:
        left = leave_for_good(session, name, reason=reason, now=clock())
    console.answer(
        {"host": name, "births": list(left)},
        f"{name} is free; whoever joins under it next is {name}"
        + (f"\nits births that were not finished begin anew elsewhere: {', '.join(left)}" if left else ""),
    )


@hosts.command("cost")
@click.argument("host", metavar="HOST")
@click.option("--monthly", required=True, metavar="'AMOUNT CUR'", help="A month, like '41.50 EUR'.")
@click.option("--provenance", required=True, type=click.Choice([kind.value for kind in Provenance]))
@click.option(
    "--dated", required=True, metavar="YYYY-MM-DD", help="Day of the invoice, quote or measurement."
)
@click.option("--document", "file", type=click.Path(path_type=Path), help="It is kept, by digest.")
@click.option("--by", required=True, help="Who says so.")
@console_option
@click.pass_context
def cost(
    ctx: click.Context,
    host: str,
    monthly: str,
    provenance: str,
    dated: str,
    file: Path | None,
    by: str,
    console: Console,
) -> None:
    """Record what HOST costs a month, and how we know."""
    config = settings(ctx)
    amount = _AMOUNT.fullmatch(monthly)
    if amount is None:
        raise FormatError("not an amount and a currency like '41.50 EUR'", where="--monthly")
    documents = Documents(config.state_dir / "documents")
    digest = documents.keep(read_document(file)) if file is not None else None
    recorded = Cost(
        cents=int(amount[1]) * 100 + int(amount[2] or 0),
        currency=amount[3],
        provenance=Provenance(provenance),
        document_sha256=digest,
        dated_at=_day(dated),
        by=by,
    )
    with transaction(open_database(config)) as session:
        registry.record_cost(session, host, recorded, now=clock())
    proves = (
        "" if recorded.provenance.proves else "  (a quote proves nothing; send the invoice when it is there)"
    )
    console.answer({"host": host, **recorded.to_json()}, f"{host}: {monthly} a month by {provenance}{proves}")


@hosts.command("check")
@console_option
@click.pass_context
def check(ctx: click.Context, console: Console) -> None:
    """Say what to buy and what to retire; refuse (12) while a cost that it would rest on is not proven."""
    advice = registry.recommend(_machines(ctx))
    console.answer(
        {"advice": [item.to_json() for item in advice]},
        "\n".join(f"{item.action:7} {item.host}: {item.why}" for item in advice)
        or "nothing to buy or to retire",
    )


def _machines(ctx: click.Context) -> tuple[Machine, ...]:
    config = settings(ctx)
    with snapshot(open_database(config)) as session:
        return registry.machines(session, Documents(config.state_dir / "documents"), now=clock())


def _line(machine: Machine) -> str:
    cost = machine.cost
    price = f"{cost.cents / 100:.2f} {cost.currency} ({cost.provenance})" if cost is not None else "-"
    roles = ",".join(sorted(role.value for role in machine.roles))
    doubt = f"  UNPROVEN: {machine.doubt}" if machine.doubt else ""
    return f"{machine.host:20} {machine.system:16} {roles:16} {price}{doubt}"


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError("not a day like 2027-01-31", where="--dated") from error
