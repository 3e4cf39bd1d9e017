"""`hive trust`: what this host trusts, and changing it on record."""

from pathlib import Path

import click

from hive import trust as memory
from hive.cli.context import clock, open_database, settings
from hive.db.session import transaction
from repo_client.anchor import load_anchor
from signing.console import Console, console_option
from signing.errors import NotFoundError, UsageError
from signing.format.digest import sha256_of


@click.group()
def trust() -> None:
    """Show and replace the trust anchor of this host."""


@trust.command("show")
@console_option
@click.pass_context
def show(ctx: click.Context, console: Console) -> None:
    """Show the anchor that the first birth pinned, and the highest versions seen under it."""
    with transaction(open_database(settings(ctx))) as session:
        row = memory.load(session)
        if row is None:
            raise NotFoundError("no anchor is pinned yet", hint="the first hive birth pins it")
        document = {
            "anchor_sha256": row.anchor_sha256,
            "root_version": row.root_version,
            "timestamp_version": row.timestamp_version,
            "snapshot_version": row.snapshot_version,
            "withdrawals": row.withdrawals,
        }
        serials = memory.serials(session)
    lines = [f"{key:18} {value}" for key, value in document.items()]
    lines += [f"{repo:18} serial {serial}" for repo, serial in serials.items()]
    console.answer({**document, "serials": serials}, "\n".join(lines))


@trust.command("replace")
@click.argument("file", metavar="ANCHOR", type=click.Path(path_type=Path))
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask for the digest.")
@console_option
@click.pass_context
def replace(ctx: click.Context, file: Path, reason: str, yes: bool, console: Console) -> None:
    """Trust the anchor in the file ANCHOR from now on. Only for a repository that was founded anew.

    A rotated root needs nothing of the kind: the old anchor leads to it.
    """
    digest = sha256_of(load_anchor(file))
    if not yes:
        if not console.can_ask():
            raise UsageError(
                "this changes whom the host trusts", hint="give --yes when nobody is there to ask"
            )
        if click.prompt("type the first 16 digits of the anchor's sha256", err=True) != digest[:16]:
            raise UsageError("that is not the digest of this file; nothing was changed")
    with transaction(open_database(settings(ctx))) as session:
        before = memory.replace(session, digest, reason=reason, now=clock())
    console.answer({"before": before, "anchor_sha256": digest}, f"this host trusts {digest} now")
