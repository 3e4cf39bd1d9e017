"""`skillrepo pkg rollback`: the packages of an earlier serial, as the next one."""

from typing import Final

import click

from repo_server.cli.context import clock, confirm
from repo_server.cli.pkg.desks import open_builder, open_package_desk, pkg_site_option, state_folder
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.pkg.names import PackageRepo

MAX_REASON: Final = 2000


@click.command("rollback")
@click.argument("repo", metavar="ABI/CHANNEL")
@click.option("--to", "serial", required=True, type=click.IntRange(min=1), help="Whose packages come back.")
@click.option("--reason", required=True, help="Why; it is signed and stays in the index.")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The builder whose key signs.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@pkg_site_option
@console_option
@click.pass_context
def rollback(
    ctx: click.Context,
    repo: str,
    serial: int,
    reason: str,
    holder: str | None,
    yes: bool,
    pkg_site: str | None,
    console: Console,
) -> None:
    """Publish what an earlier serial held, under a new number: clients accept no old one again.

    Packages that are published now are kept for births that pin them. The builder's key signs, so this is done where
    that key is; the repository may be elsewhere. skillrepo pkg serials shows what there is to go back to.
    """
    from repo_server.pkgrepo.locking import publishing
    from repo_server.pkgrepo.rolling_back import carry_out, plan_rollback
    from repo_server.pkgrepo.submitting import Keys

    wanted = PackageRepo.parse(repo)
    if not reason.strip() or len(reason) > MAX_REASON:
        raise UsageError(
            f"a reason has 1 to {MAX_REASON} characters", hint="say what is wrong with what is published"
        )
    desk, repository, _ = open_package_desk(ctx, console, pkg_site=pkg_site)
    name, builder = open_builder(ctx, repository, holder)
    keys = Keys(holder=name, builder=builder, pkg=())
    plan = plan_rollback(desk, wanted, keys, to=serial, reason=reason, clock=clock, tell=console.note)
    console.note(plan.render())
    confirm(f"sign this as {name}?", console, yes=yes)
    # Not held while somebody reads: a build that is published meanwhile makes this one a conflict.
    with publishing(state_folder(wanted), wanted, tell=console.note):
        done = carry_out(desk, plan, keys, clock=clock)
    if not done.pkg_site_checked:
        console.note("warning: the package site takes a token: what it serves to pkg was not looked at")
    index = done.index
    console.answer(
        {
            "repository": str(wanted),
            "serial": index.serial,
            "from_serial": serial,
            "replaces": plan.previous.serial,
            "packages": len(index.packages),
            "kept": len(index.kept),
            "pkg_site_checked": done.pkg_site_checked,
        },
        f"{wanted} is at serial {index.serial}: the {len(index.packages)} packages of serial {serial}",
    )
