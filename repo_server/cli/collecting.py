"""`skillrepo gc`: remove blobs that nothing names."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from repo_server.cli.context import clock, open_repository
from signing.console import Console, console_option
from signing.errors import UsageError

if TYPE_CHECKING:
    from repo_server.storage.collecting import Leftovers

_SPAN: Final = re.compile(r"([1-9][0-9]{0,3})([hd])", re.ASCII)
_HOURS: Final = {"h": 1, "d": 24}
_SHOWN: Final = 20


@click.command("gc")
@click.option(
    "--grace",
    default="7d",
    show_default=True,
    metavar="7d",
    help="Leave what was stored since then, by the store's own clock (h, d; at least 1h).",
)
@click.option(
    "--dry-run", is_flag=True, help="Only say what would go, by its digests, and how much it takes."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@console_option
@click.pass_context
def gc(ctx: click.Context, grace: str, dry_run: bool, yes: bool, console: Console) -> None:
    """Remove blobs that nothing names: leftovers of imports, drafts and uploads that came to nothing.

    Whatever a candidate, release, proposal, profile, review, piece of evidence, package serial or record of the log names,
    stays. Others may import and publish meanwhile. Old serials of packages are `skillrepo pkg gc`'s.
    """
    from repo_server.storage.collecting import collect_leftovers

    span = _span(grace)
    repository = open_repository(ctx, console)
    found = collect_leftovers(repository, grace=span, now=clock(), dry_run=True)
    if not dry_run and found.blobs:
        if not yes and not console.can_ask():
            raise UsageError(
                f"{len(found.blobs)} blob(s) would go for good",
                hint="--dry-run shows them; --yes removes them",
            )
        if not yes:
            click.confirm(_text(found, "would remove") + "\nremove them for good?", err=True, abort=True)
    if not dry_run:
        found = collect_leftovers(repository, grace=span, now=clock())
    if not found.listed_whole:
        console.note("the store's list did not come to an end: run it again, and look at what writes there")
    console.answer(_document(found, dry_run=dry_run), _text(found, "would remove" if dry_run else "removed"))


def _document(found: "Leftovers", *, dry_run: bool) -> dict[str, Any]:
    blobs = [{"sha256": digest, "size": size} for digest, size in sorted(found.blobs.items())]
    return {**found.to_json(), "dry_run": dry_run, "digests": blobs}


def _text(found: "Leftovers", verb: str) -> str:
    lines = [f"{verb} {digest}  {size:>12}" for digest, size in sorted(found.blobs.items())[:_SHOWN]]
    if len(found.blobs) > _SHOWN:
        lines.append(f"… and {len(found.blobs) - _SHOWN} more (--json lists all)")
    lines.append(
        f"{verb} {len(found.blobs)} blob(s), {found.bytes} bytes, and {len(found.unfinished)} unfinished file(s)"
    )
    return "\n".join(lines)


def _span(text: str) -> timedelta:
    from repo_server.storage.collecting import LEAST_GRACE

    match = _SPAN.fullmatch(text)
    span = timedelta(hours=int(match[1]) * _HOURS[match[2]]) if match else timedelta()
    if span < LEAST_GRACE:
        raise UsageError(f"{text[:20]!a} is no grace period", hint="7d, 36h; at least 1h")
    return span
