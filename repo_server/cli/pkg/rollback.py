"""`skillrepo pkg rollback`: the packages of an earlier serial, as the next one."""

from typing import Final

import click

from repo_server.cli.context import (
    acting_as,
    clock,
    confirm,
    open_online_signer,
    open_repository,
    open_signer,
)
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
@console_option
@click.pass_context
def rollback(
    ctx: click.Context,
    repo: str,
    serial: int,
    reason: str,
    holder: str | None,
    yes: bool,
    console: Console,
) -> None:
    """Publish what an earlier serial held, under a new number: clients accept no old one again.

    Packages that are published now are kept for births that pin them. The builder's key signs, so this is done where
    that key is.
    """
    from repo_server.pkgrepo.serials import rollback as roll_back

    wanted = PackageRepo.parse(repo)
    if not reason.strip() or len(reason) > MAX_REASON:
        raise UsageError(
            f"a reason has 1 to {MAX_REASON} characters", hint="say what is wrong with what is published"
        )
    repository = open_repository(ctx, console, to_sign=True)
    name = acting_as(holder, repository, "builder")
    signer = open_signer(ctx, repository, name)
    confirm(
        f"publish the packages of serial {serial} of {wanted} again, as the next serial?", console, yes=yes
    )
    accepted = roll_back(
        repository,
        wanted,
        to=serial,
        reason=reason,
        builder=(name, signer),
        online=open_online_signer(ctx, repository),
        now=clock(),
    )
    console.answer(
        {**accepted.to_json(), "from_serial": serial},
        f"{wanted} is at serial {accepted.index.serial}: the {len(accepted.index.packages)} packages of serial {serial}",
    )
