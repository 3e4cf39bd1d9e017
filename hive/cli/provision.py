"""`hive provision` and `hive withdraw`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from hive import tenants
from hive.agents.names import AgentId
from hive.cli.context import clock, open_database, open_here, settings
from hive.config import HiveConfig
from hive.db.session import transaction
from hive.jails.choose import open_host
from hive.jails.host import JailHost
from hive.vault.choose import open_vault
from hive.vault.own import own_variables
from hive.vault.owner import owner_of
from hive.vault.provision import STANDING, Own, Provisioned, Provisioner
from hive.vault.secret import Secret
from hive.vault.vault import Vault
from signing.console import Console, console_option
from signing.errors import NotFoundError, RejectedError, SkillRepoError, UsageError
from signing.format.names import TenantId, parse_tenant_id


def _jail_options(command: Callable[..., Any]) -> Callable[..., Any]:
    base = click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
    root = click.option(
        "--jail-root",
        type=click.Path(path_type=Path),
        help="The root of TENANT's jail, for being sure: another one is refused.",
    )
    return base(root(command))


@click.command()
@click.argument("tenant_ids", metavar="TENANT...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Every tenant that has a jail.")
@click.option("--rotate", is_flag=True, help="Give the agent a new token; the one before is refused.")
@_jail_options
@console_option
@click.pass_context
def provision(
    ctx: click.Context,
    tenant_ids: tuple[str, ...],
    everybody: bool,
    rotate: bool,
    jail_root: Path | None,
    jail_root_base: str | None,
    console: Console,
) -> None:
    """Bring the secrets of TENANT's bucket into its jail: usr/home/agent/.env, 0600, of the agent's user.

    What is right already is not written again; after an error the jail is as it was. Several tenants share one
    login and one sync, which a vault's rate limit asks for.
    """
    config = settings(ctx, jail_root_base=jail_root_base)
    engine = open_database(config)
    provisioner = _provisioner(config, engine, owner=owner_of(config))
    wanted = _wanted(tenant_ids, engine, provisioner.host, here=provisioner.here, everybody=everybody)
    _check_root(provisioner.host, wanted, jail_root)

    def own(tenant_id: TenantId) -> Mapping[str, Secret]:
        return own_variables(config, engine, tenant_id, now=clock(), rotate=rotate)

    with open_vault(config, clock) as vault:
        done = _provision_all(provisioner, vault, wanted, own=own, rotated=rotate, console=console)
    document = done[0].to_json() if len(wanted) == 1 and not everybody else {"tenants": _documents(done)}
    console.answer(document, "\n".join(_line(item) for item in done) or "no tenant has a jail")


@click.command()
@click.argument("tenant_id", metavar="TENANT")
@_jail_options
@console_option
@click.pass_context
def withdraw(
    ctx: click.Context, tenant_id: str, jail_root: Path | None, jail_root_base: str | None, console: Console
) -> None:
    """Remove TENANT's secrets from its jail. What an agent has read already, it knows: rotate it in the vault."""
    config = settings(ctx, jail_root_base=jail_root_base)
    tenant = parse_tenant_id(tenant_id)
    provisioner = _provisioner(config, open_database(config), owner=None)
    _check_root(provisioner.host, [tenant], jail_root)
    removed = provisioner.withdraw(tenant)
    text = f"withdrawn: the secrets of {tenant}" if removed else f"{tenant} had no secrets in its jail"
    console.answer({"tenant_id": tenant, "removed": removed}, text)


def _provisioner(config: HiveConfig, engine: Engine, *, owner: tuple[int, int] | None) -> Provisioner:
    here = open_here(config, engine)
    return Provisioner(
        engine=engine, host=open_host(config), state=config.state_dir, owner=owner, clock=clock, here=here
    )


def _wanted(
    tenant_ids: Sequence[str], engine: Engine, host: JailHost, *, here: AgentId | None, everybody: bool
) -> list[TenantId]:
    """Return whom to provision, each once.

    Raises:
        UsageError: nobody is named, or everybody and somebody.
    """
    if everybody == bool(tenant_ids):
        raise UsageError("name tenants, or give --all", hint="hive list-tenants shows who is registered")
    if not everybody:
        return list(dict.fromkeys(parse_tenant_id(text) for text in tenant_ids))
    with transaction(engine) as session:
        found = tenants.list_all(session)
    return [
        tenant.tenant_id
        for tenant in found
        if tenant.status in STANDING and tenant.host == here and host.exists(tenant.tenant_id)
    ]


def _check_root(host: JailHost, wanted: Sequence[TenantId], given: Path | None) -> None:
    """Refuse a jail root that is not where the tenant's jail is: secrets go to no folder that somebody names."""
    if given is None:
        return
    if len(wanted) != 1:
        raise UsageError("--jail-root is for one tenant")
    if str(given) != host.describe(wanted[0]):
        raise UsageError(
            f"the jail of {wanted[0]} is at {host.describe(wanted[0])}",
            hint="leave --jail-root out, or give that",
        )


def _provision_all(
    provisioner: Provisioner,
    vault: Vault,
    wanted: Sequence[TenantId],
    *,
    own: Own,
    rotated: bool,
    console: Console,
) -> list[Provisioned]:
    """Provision one after the other; a refused tenant does not keep the next from its secrets.

    Raises:
        SkillRepoError: the first error, when all are through; at once where the vault or the host failed.
    """
    done: list[Provisioned] = []
    refused: dict[TenantId, SkillRepoError] = {}
    for tenant_id in wanted:
        try:
            done.append(provisioner.provision(vault, tenant_id, own=own, rotated=rotated))
        except (RejectedError, NotFoundError) as error:
            refused[tenant_id] = error
        if len(wanted) > 1:
            console.note(_refusal(tenant_id, refused[tenant_id]) if tenant_id in refused else _line(done[-1]))
    if not refused:
        return done
    first = next(iter(refused.values()))
    if len(wanted) > 1:
        first.facts.update(refused=sorted(refused), done=[item.tenant_id for item in done])
    raise first


def _documents(done: Sequence[Provisioned]) -> list[dict[str, Any]]:
    return [item.to_json() for item in done]


def _refusal(tenant_id: TenantId, error: SkillRepoError) -> str:
    return f"{tenant_id}: refused [{error.code}]: {error}"


def _line(item: Provisioned) -> str:
    if not item.names:
        return f"{item.tenant_id}: the registry has no bucket for it; nothing to bring"
    what = "provisioned" if item.changed else "unchanged"
    return f"{item.tenant_id}: {what}, {len(item.names)} variables ({', '.join(item.names)})\n  {item.path}"
