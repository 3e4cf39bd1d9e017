"""`skillrepo pkg gc`: remove what nobody needs any more."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from repo_server.cli.context import clock, open_repository
from signing.console import Console, console_option
from signing.errors import UsageError

if TYPE_CHECKING:
    from repo_server.pkgrepo.collecting import Garbage

_SHOWN: Final = 20


@click.command("gc")
@click.option("--retain", default=30, show_default=True, type=click.IntRange(min=1), metavar="DAYS")
@click.option(
    "--at-least",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Retain so many of the newest serials, however old they are.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and how much it takes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@console_option
@click.pass_context
def gc(ctx: click.Context, retain: int, at_least: int, dry_run: bool, yes: bool, console: Console) -> None:
    """Remove serials that are older than --retain, the packages that only they name, and abandoned uploads.

    What is served, and what a retained serial lists or keeps, stays. There is no rollback to a serial that is gone.
    Abandoned is what was sent a week ago and is named by nothing.
    """
    from repo_server.pkgrepo.collecting import collect

    repository = open_repository(ctx, console)

    def run(*, dry: bool) -> "Garbage":
        return collect(repository, retain=timedelta(days=retain), at_least=at_least, now=clock(), dry_run=dry)

    garbage = run(dry=True)
    if not dry_run and (garbage.serials or garbage.abandoned) and not yes:
        if not console.can_ask():
            raise UsageError(
                f"{len(garbage.serials)} serial(s) and {len(garbage.abandoned)} abandoned file(s) would go for good",
                hint="--dry-run shows them; --yes removes them",
            )
        click.confirm(_text(garbage, "would remove") + "\nremove them for good?", err=True, abort=True)
    if not dry_run:
        garbage = run(dry=False)
    names = [digest for digest, _ in garbage.all_blobs]
    console.answer(
        {**garbage.to_json(), "dry_run": dry_run, "digests": names},
        _text(garbage, "would remove" if dry_run else "removed"),
    )


def _text(garbage: "Garbage", verb: str) -> str:
    lines = [f"{verb} {repo} serial {serial}" for repo, serial in garbage.serials[:_SHOWN]]
    if len(garbage.serials) > _SHOWN:
        lines.append(f"… and {len(garbage.serials) - _SHOWN} more")
    lines.append(
        f"{verb} {len(garbage.all_blobs)} file(s), {len(garbage.abandoned)} of them abandoned: {garbage.bytes} bytes,"
        f" and {len(garbage.names)} name(s)"
    )
    return "\n".join(lines)
