"""`hive birth`."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import click
from sqlalchemy import Engine

from hive.birth.carry_out import birth as carry_out
from hive.birth.carry_out import plan as plan_only
from hive.birth.mother import Mother
from hive.birth.undoing import OnFailure
from hive.cli.context import clock, open_client, open_database, open_here, settings
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.db.session import snapshot
from hive.jails.choose import open_host
from hive.policy_loading import load_host_policy
from hive.tenants import Tenant, TenantStatus, load_row
from hive.vault.choose import open_vault
from hive.vault.own import own_variables
from hive.vault.owner import owner_of
from hive.vault.provision import WHILE_BIRTHING, Provisioner
from repo_client.packages import Progress
from signing.console import Console, console_option
from signing.errors import SkillRepoError
from signing.format.names import TenantId, parse_tenant_id
from signing.format.pkg.index import IndexedPackage

_SAID_EVERY: Final = 64 << 20
_LOOK_EVERY: Final = 0.5


@click.command()
@click.argument("tenant_id", metavar="ID")
@click.option(
    "--jail-root-base",
    envvar="HIVE_JAIL_ROOT_BASE",
    help="Folder of the jails; this one's root is BASE/ID/root.",
)
@click.option("--plan", "plan", is_flag=True, help="Check everything and print the steps; change nothing.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="Wait for the first heartbeat.",
)
@click.option(
    "--on-failure",
    type=click.Choice([item.value for item in OnFailure]),
    help="Keep the unfinished jail of a birth that fails, to be looked at, or destroy it. "
    "Without this: a refused birth leaves none, any other leaves it until it is continued.",
)
@console_option
@click.pass_context
def birth(
    ctx: click.Context,
    tenant_id: str,
    jail_root_base: str | None,
    plan: bool,
    wait: float,
    on_failure: str | None,
    console: Console,
) -> None:
    """Birth the agent of tenant ID: verify, admit, materialise. A killed birth is continued by the same command.

    What a failed birth leaves never runs, holds no secret, and its agent is not answered.
    """
    config = settings(ctx, jail_root_base=jail_root_base, on_failure=on_failure)
    tenant, chosen = parse_tenant_id(tenant_id), OnFailure.parse(config.on_failure)
    with open_mother(config, console) as mother:
        if plan:
            _plan(mother, tenant, console)
        else:
            _birth(mother, tenant, console, wait=wait, on_failure=chosen)


def _plan(mother: Mother, tenant: TenantId, console: Console) -> None:
    admitted, steps = plan_only(mother, tenant)
    console.answer(
        {
            "tenant_id": tenant,
            "lock_sha256": admitted.lock.sha256,
            "steps": [step.name for step in steps],
        },
        "\n".join(
            [f"{number:3}  {step.name}" for number, step in enumerate(steps, 1)]
            + ["no jail and no tenant was changed"]
        ),
    )


def _birth(
    mother: Mother, tenant: TenantId, console: Console, *, wait: float, on_failure: OnFailure | None
) -> None:
    try:
        receipt = carry_out(mother, tenant, on_failure=on_failure)
    except SkillRepoError as error:
        if "jail" in error.facts and not console.as_json:
            console.note(f"its jail: {error.facts['jail']}")
        raise
    if receipt["already"]:
        console.answer(receipt, f"{tenant} was born already; nothing was changed\n{receipt['jail_root']}")
        return
    lines = [f"{'continued and ' if receipt['continued'] else ''}born: {tenant} ({receipt['tier']} tier)"]
    lines += [f"  pkg   {item['package']}  sha256 {item['sha256'][:12]}" for item in receipt["packages"]]
    lines += [f"  skill {item}" for item in receipt["skills"]]
    lines += [f"  soul  {item}" for item in receipt["souls"]]
    lines += [f"  AT OWN RISK: {item} is external" for item in receipt["own_risk"]]
    lines += [f"  secrets {', '.join(receipt['secrets'])}"] if receipt["secrets"] else []
    lines += [f"  lock  {receipt['lock_sha256']}", f"  jail  {receipt['jail_root']}"]
    if wait:
        receipt = {**receipt, "status": wait_for_life(mother, tenant, wait).value}
    lines.append(
        "active: its agent lives"
        if receipt["status"] == "active"
        else "it is active with its agent's first heartbeat"
    )
    console.answer(receipt, "\n".join(lines))


def wait_for_life(mother: Mother, tenant: TenantId, seconds: float) -> TenantStatus:
    """Wait until the tenant's agent was heard, at most ``seconds``, and return how the tenant stands then."""
    end = time.monotonic() + seconds
    while True:
        with snapshot(mother.engine) as session:
            status = Tenant.of(load_row(session, tenant)).status
        if status is not TenantStatus.BORN or time.monotonic() >= end:
            return status
        time.sleep(_LOOK_EVERY)


@contextlib.contextmanager
def open_mother(config: HiveConfig, console: Console, *, engine: Engine | None = None) -> Iterator[Mother]:
    """Yield the host routine of this host; its vault, where it has one, is asked for nothing before the first bucket.

    Everything is read anew; ``engine`` is the database, where it is open already.

    Raises:
        UsageError, FormatError, NotFoundError: a setting is missing or wrong.
        VerificationError, TransportError: the policy has to be signed, and cannot be verified.
    """
    engine, host = engine or open_database(config), open_host(config)
    here = open_here(config, engine)
    policy = load_host_policy(config, engine=engine, open_client=open_client, now=clock())
    with contextlib.ExitStack() as stack:
        secrets = None
        if config.jail_uid is not None:
            provisioner = Provisioner(
                engine=engine,
                host=host,
                state=config.state_dir,
                owner=owner_of(config),
                clock=clock,
                here=here,
            )
            vault = stack.enter_context(open_vault(config, clock))

            def secrets(tenant: TenantId) -> tuple[str, ...]:
                own = partial(own_variables, config, engine, now=clock())
                return provisioner.provision(vault, tenant, own=own, allowed=WHILE_BIRTHING).names

        yield Mother(
            engine=engine,
            client=open_client(config),
            host=host,
            state=config.state_dir,
            clock=clock,
            gates=open_gates(config),
            policy=policy.policy,
            secrets=secrets,
            abi=config.host_abi,
            store_bytes=config.store_bytes,
            progress=_told(console),
            verify=config.verify_at,
            here=here,
        )


def _told(console: Console) -> Progress:
    """Return what says, on stderr, how far a download has come: at its end, and every 64 MiB of a large one."""
    said: dict[str, int] = {}

    def tell(package: IndexedPackage, received: int) -> None:
        part = received // _SAID_EVERY
        if received == package.size or part > said.get(package.sha256, 0):
            said[package.sha256] = part
            console.note(f"fetched {package.pin}: {received} of {package.size} bytes")

    return tell
