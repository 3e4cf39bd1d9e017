"""`hive first-proof`."""

import contextlib
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from hive.agents.client import Endpoint
from hive.birth.mother import Mother
from hive.cli.activating import open_activator
from hive.cli.birth import open_mother
from hive.cli.context import clock, open_database, settings
from hive.config import HiveConfig
from hive.jails.choose import DIRECTORY
from hive.proof.evidence import render
from hive.proof.ground import Ground, Wanted
from hive.proof.proving import prove
from hive.vault.choose import SEALED, open_vault, vault_kind
from hive.vault.own import own_variables
from hive.vault.owner import owner_of
from hive.vault.provision import Provisioner
from hive.vault.secret import Secret
from repo_client.handles import Directory
from signing.console import Console, console_option
from signing.errors import ConflictError, SkillRepoError
from signing.format.digest import sha256_of
from signing.format.names import Pin, TenantId, parse_tenant_id


@click.command("first-proof")
@click.option(
    "--profile",
    metavar="NAME==VERSION",
    help="The birth set of the scratch tenant: one as tenants here have it.",
)
@click.option(
    "--tenant",
    "tenant_id",
    metavar="ID",
    help="The scratch tenant: new, or registered and not used yet. Default: a new one.",
)
@click.option(
    "--collection-id",
    help="With a real vault: the throw-away bucket, whose variables are all called SCRATCH_….",
)
@click.option(
    "--report",
    "file",
    type=click.Path(path_type=Path),
    help="Write the evidence to this file, which must not be there, when all of it passed.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Let the agent speak to the service at hive_url, instead of one that runs for the proof only.",
)
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@console_option
@click.pass_context
def first_proof(
    ctx: click.Context,
    profile: str | None,
    tenant_id: str | None,
    collection_id: str | None,
    file: Path | None,
    live: bool,
    jail_root_base: str | None,
    console: Console,
) -> None:
    """Prove that this host carries a tenant from nothing to its agent's heartbeat, and back: with a scratch tenant.

    It is born, provisioned, looked at, registered, heard, and retired. Nothing real is touched, and nothing is left: what a
    killed proof leaves, the next one ends first.
    """
    config = settings(ctx, jail_root_base=jail_root_base)
    wanted = Wanted(
        tenant_id=parse_tenant_id(tenant_id) if tenant_id is not None else None,
        profile=Pin.parse(profile, where="--profile") if profile is not None else None,
        collection_id=collection_id,
    )
    _check_free(file)
    with _ground(config, console, live=live) as ground, _told(console):
        document = prove(ground, wanted)
    data = render(document)
    if file is not None:
        _write(file, data)
    console.answer(
        {**document, "sha256": sha256_of(data)}, "\n".join(_lines(document, sha256_of(data), file))
    )


@contextlib.contextmanager
def _told(console: Console) -> Iterator[None]:
    """Say in which step a proof failed, and what is left of it; with --json the error says so."""
    try:
        yield
    except SkillRepoError as error:
        if not console.as_json:
            if "step" in error.facts:
                console.note(f"not proven: {error.facts['step']} failed")
            for item in error.facts.get("left", ()):
                console.note(f"left: {item}")
        raise


@contextlib.contextmanager
def _ground(config: HiveConfig, console: Console, *, live: bool) -> Iterator[Ground]:
    """Yield this host as its tenants have it.

    Raises:
        UsageError, FormatError, NotEntitledError: with these settings no tenant's agent is ever heard here.
    """
    hive_url = config.need("hive_url", 'hive_url = "https://…": where agents find the hive')
    Endpoint.parse(hive_url)
    owner = owner_of(config)
    sealed = vault_kind(config) == SEALED

    def own(tenant: TenantId) -> Mapping[str, Secret]:
        return own_variables(config, ground.mother.engine, tenant, now=clock())

    open_database(config, create=True).dispose()  # on a new host it is the first command
    with open_mother(config, console) as mother, contextlib.ExitStack() as stack:
        ground = Ground(
            mother=mother,
            provisioner=Provisioner(
                engine=mother.engine,
                host=mother.host,
                state=mother.state,
                owner=owner,
                clock=clock,
                here=mother.here,
            ),
            own=own,
            activator=open_activator(config),
            vault=None if sealed else stack.enter_context(open_vault(config, clock)),
            live=hive_url if live else None,
            settings=_shown(config, mother, owner),
        )
        yield ground


def _shown(config: HiveConfig, mother: Mother, owner: tuple[int, int]) -> dict[str, Any]:
    """Return what the evidence says of this host; no setting in here is a secret."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "abi": str(mother.abi) if mother.abi is not None else None,
        "server": mother.client.server.base,
        "trust_anchor_sha256": mother.client.anchor_sha256,
        "policy_sha256": mother.policy.sha256,
        "jail_host": config.jail_host or DIRECTORY,
        "jail_root_base": config.jail_root_base,
        "jail_user": f"{owner[0]}:{owner[1]}",
        "vault": vault_kind(config),
        "hive_url": config.hive_url,
    }


def _check_free(file: Path | None) -> None:
    """Refuse a report's name that is taken, before anything is made.

    Raises:
        ConflictError: something stands there. HostError: its folder is not there.
    """
    if file is None:
        return
    with Directory.open(file.absolute().parent) as folder:
        if folder.find(file.name) is not None:
            raise ConflictError(f"{file} exists", hint="each proof has a report of its own")


def _write(file: Path, data: bytes) -> None:
    with Directory.open(file.absolute().parent) as folder:
        folder.create_file(file.name, data, 0o644)


def _lines(document: Mapping[str, Any], sha256: str, file: Path | None) -> Iterator[str]:
    for step in document["steps"]:
        yield f"{step['step']}  ({step['milliseconds']} ms)"
        yield from (f"  held: {what}" for what in step["held"])
        yield from (
            f"  {name}: {_flat(value)}" for name, value in step["facts"].items() if value not in ([], "")
        )
    yield f"passed: {document['tenant']} lived here, and nothing is left of it but its records"
    yield f"evidence sha256 {sha256}" + (f"\nwritten to {file}" if file is not None else "")


def _flat(value: Any) -> str:
    return ", ".join(_flat(item) for item in value) if isinstance(value, list) else str(value)
