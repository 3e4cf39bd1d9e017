"""`hive optin`: external bundles for tenants of the free tier."""

from datetime import UTC, datetime
from pathlib import Path

import click

from hive import optins
from hive.cli.context import clock, open_database, settings
from hive.db.session import transaction
from hive.external import OptIn, read_external
from hive.tenants import Tenant, load_row
from signing.console import Console, console_option
from signing.errors import FormatError, NotFoundError, RejectedError
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.names import Pin, parse_tenant_id


@click.group()
def optin() -> None:
    """Take the risk of an external bundle in writing. The paid tier cannot."""


@optin.command("add")
@click.argument("tenant_id", metavar="TENANT")
@click.option("--source", required=True, help="Where the bundle is from, such as clawhub:@owner/slug@1.0.")
@click.option(
    "--bundle", "file", required=True, type=click.Path(path_type=Path), help="From skillrepo export."
)
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--reason", required=True)
@click.option("--expires", required=True, metavar="YYYY-MM-DD", help="Until when (start of that day, UTC).")
@console_option
@click.pass_context
def add(
    ctx: click.Context,
    tenant_id: str,
    source: str,
    file: Path,
    owner: str,
    reason: str,
    expires: str,
    console: Console,
) -> None:
    """Record the consent to exactly the bytes of BUNDLE for TENANT."""
    config = settings(ctx)
    engine = open_database(config)
    data = _read(file)
    wanted = parse_tenant_id(tenant_id)
    try:
        with transaction(engine) as session:
            tenant = Tenant.of(load_row(session, wanted))
            external = read_external(data)
            opt_in = OptIn(
                tenant_id=tenant.tenant_id,
                source=source,
                pin=external.pin,
                bundle_sha256=external.sha256,
                owner=owner,
                reason=reason,
                expires_at=_day(expires),
            )
            optins.add(session, config.state_dir / "external", tenant, data, opt_in=opt_in, now=clock())
    except RejectedError as error:
        with transaction(engine) as session:
            optins.note_refusal(session, wanted, error, now=clock())
        raise
    console.answer(
        {**optins.describe(opt_in), "risk": "operator's own risk"},
        f"{tenant_id} may be born with {external.pin} from {source} until {expires}, at {owner}'s own risk",
    )


@optin.command("list")
@click.argument("tenant_id", metavar="TENANT")
@console_option
@click.pass_context
def list_(ctx: click.Context, tenant_id: str, console: Console) -> None:
    """List the consents of TENANT."""
    with transaction(open_database(settings(ctx))) as session:
        tenant = Tenant.of(load_row(session, parse_tenant_id(tenant_id)))
        found = [optins.describe(item) for item in optins.load(session, tenant.tenant_id)]
    lines = [
        f"{item['pin']}  until {item['expires_at']}  {item['owner']}: {item['reason']}" for item in found
    ]
    console.answer({"opt_ins": found}, "\n".join(lines) or "none")


@optin.command("withdraw")
@click.argument("tenant_id", metavar="TENANT")
@click.argument("pin", metavar="NAME==VERSION")
@console_option
@click.pass_context
def withdraw(ctx: click.Context, tenant_id: str, pin: str, console: Console) -> None:
    """End the consent of TENANT to NAME==VERSION."""
    with transaction(open_database(settings(ctx))) as session:
        tenant = Tenant.of(load_row(session, parse_tenant_id(tenant_id)))
        count = optins.withdraw(session, tenant, Pin.parse(pin), now=clock())
    console.answer({"withdrawn": count}, f"withdrawn: {pin} for {tenant_id}")


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError("not a day like 2027-01-31", where="--expires") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_ARCHIVE_BYTES:
        raise FormatError(f"larger than {MAX_ARCHIVE_BYTES} bytes", where=str(path))
    return data
