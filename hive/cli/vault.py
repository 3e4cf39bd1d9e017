"""`hive vault`: the sealed vault for development, and the login at the real one."""

import sys
from typing import Final

import click

from hive import tenants
from hive.cli.context import open_database, settings
from hive.config import HiveConfig
from hive.db.session import transaction
from hive.tenants import Tenant
from hive.vault.bw import forget_login
from hive.vault.bw_settings import BwSettings
from hive.vault.choose import SEALED, sealed_vault, vault_kind
from hive.vault.dotenv import MAX_FILE_BYTES
from hive.vault.sealed import SealedVault
from signing.console import Console, console_option
from signing.errors import FormatError, UsageError
from signing.format.names import parse_tenant_id

_NOT_SEALED: Final = "this host's vault is not the sealed one"


@click.group()
def vault() -> None:
    """Keep buckets in a sealed file, for development. A real vault is changed with its own programs."""


@vault.command("set")
@click.argument("tenant_id", metavar="TENANT")
@click.argument("name", metavar="NAME")
@console_option
@click.pass_context
def set_(ctx: click.Context, tenant_id: str, name: str, console: Console) -> None:
    """Set the variable NAME of TENANT's bucket to what is typed, or comes on stdin (one newline at its end is cut).

    Arguments are visible to everybody on the machine, so the value is none.
    """
    config = settings(ctx)
    sealed, (tenant, collection_id) = _sealed(config), _bucket_of(config, tenant_id)
    sealed.put(tenant.tenant_id, collection_id, name, _value(console, name))
    console.answer(
        {"tenant_id": tenant.tenant_id, "name": name}, f"set: {name}\nnext: hive provision {tenant.tenant_id}"
    )


@vault.command("list")
@console_option
@click.pass_context
def list_(ctx: click.Context, console: Console) -> None:
    """List the names of all variables."""
    found = _sealed(settings(ctx)).names()
    lines = [f"{tenant:15} {', '.join(found[tenant])}" for tenant in sorted(found)]
    document = {"buckets": {tenant: list(names) for tenant, names in sorted(found.items())}}
    console.answer(document, "\n".join(lines) or "no buckets yet: hive vault set TENANT NAME")


@vault.command("remove")
@click.argument("tenant_id", metavar="TENANT")
@click.argument("name", metavar="[NAME]", required=False)
@console_option
@click.pass_context
def remove(ctx: click.Context, tenant_id: str, name: str | None, console: Console) -> None:
    """Remove the variable NAME from TENANT's bucket, or the whole bucket."""
    config = settings(ctx)
    sealed, (tenant, collection_id) = _sealed(config), _bucket_of(config, tenant_id)
    sealed.remove(tenant.tenant_id, collection_id, name)
    console.answer(
        {"tenant_id": tenant.tenant_id, "name": name},
        f"removed: {name or 'the bucket of ' + tenant.tenant_id}",
    )


@vault.command("logout")
@console_option
@click.pass_context
def logout(ctx: click.Context, console: Console) -> None:
    """Log this host out of its vault: its API key and the copies of items leave the disk. The next run logs in."""
    forget_login(BwSettings.of(settings(ctx)))
    console.answer({"logged_out": True}, "logged out")


def _sealed(config: HiveConfig) -> SealedVault:
    if vault_kind(config) != SEALED:
        raise UsageError(_NOT_SEALED, hint="change a real vault with its own programs")
    return sealed_vault(config)


def _bucket_of(config: HiveConfig, tenant_id: str) -> tuple[Tenant, str]:
    with transaction(open_database(config)) as session:
        tenant = Tenant.of(tenants.load_row(session, parse_tenant_id(tenant_id)))
    if tenant.collection_id is None:
        raise UsageError(
            f"tenant {tenant.tenant_id} has no bucket",
            hint="hive register-tenant --collection-id names it; any plain name will do for the sealed vault",
        )
    return tenant, tenant.collection_id


def _value(console: Console, name: str) -> str:
    if console.can_ask():
        return str(click.prompt(name, hide_input=True, err=True))
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise FormatError("not UTF-8", where="stdin") from None
