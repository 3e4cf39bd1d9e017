"""`hive birth`."""

from pathlib import Path
from typing import Final

import click

from hive.birth.carry_out import Mother
from hive.birth.carry_out import birth as carry_out
from hive.birth.carry_out import plan as plan_only
from hive.cli.context import clock, open_client, open_database, settings
from hive.jails.directory import DirectoryHost
from repo_client.packages import Progress
from signing.console import Console, console_option
from signing.format.names import parse_tenant_id
from signing.format.pkg.index import IndexedPackage

_SAID_EVERY: Final = 64 << 20


@click.command()
@click.argument("tenant_id", metavar="ID")
@click.option(
    "--jail-root-base",
    envvar="HIVE_JAIL_ROOT_BASE",
    help="Folder of the jails; this one's root is BASE/ID/root.",
)
@click.option("--plan", "plan", is_flag=True, help="Check everything and print the steps; change nothing.")
@console_option
@click.pass_context
def birth(
    ctx: click.Context, tenant_id: str, jail_root_base: str | None, plan: bool, console: Console
) -> None:
    """Birth the agent of tenant ID: verify, admit, materialise. A killed birth is continued by the same command."""
    config = settings(ctx, jail_root_base=jail_root_base)
    tenant = parse_tenant_id(tenant_id)
    base = Path(config.need("jail_root_base", "--jail-root-base DIR or HIVE_JAIL_ROOT_BASE"))
    mother = Mother(
        engine=open_database(config),
        client=open_client(config),
        host=DirectoryHost(base.resolve()),
        state=config.state_dir,
        clock=clock,
        abi=config.host_abi,
        store_bytes=config.store_bytes,
        progress=_told(console),
    )
    if plan:
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
        return
    receipt = carry_out(mother, tenant)
    if receipt["already"]:
        console.answer(receipt, f"{tenant} is active already; nothing was changed\n{receipt['jail_root']}")
        return
    lines = [f"{'continued and ' if receipt['continued'] else ''}born: {tenant} ({receipt['tier']} tier)"]
    lines += [f"  pkg   {item['package']}  sha256 {item['sha256'][:12]}" for item in receipt["packages"]]
    lines += [f"  skill {item}" for item in receipt["skills"]]
    lines += [f"  soul  {item}" for item in receipt["souls"]]
    lines += [f"  AT OWN RISK: {item} is external" for item in receipt["own_risk"]]
    lines += [f"  lock  {receipt['lock_sha256']}", f"  jail  {receipt['jail_root']}"]
    console.answer(receipt, "\n".join(lines))


def _told(console: Console) -> Progress:
    """Return what says, on stderr, how far a download has come: at its end, and every 64 MiB of a large one."""
    said: dict[str, int] = {}

    def tell(package: IndexedPackage, received: int) -> None:
        part = received // _SAID_EVERY
        if received == package.size or part > said.get(package.sha256, 0):
            said[package.sha256] = part
            console.note(f"fetched {package.pin}: {received} of {package.size} bytes")

    return tell
