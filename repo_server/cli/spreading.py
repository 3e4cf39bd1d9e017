"""`skillrepo spread`: the published tree into a bucket."""

import click

from repo_server.cli.context import open_repository
from signing.console import Console, console_option


@click.command()
@click.option(
    "--again", is_flag=True, help="Send everything, also what the bucket lists with the right size."
)
@console_option
@click.pass_context
def spread(ctx: click.Context, again: bool, console: Console) -> None:
    """Make the bucket named by [published] in repository.toml what is published now.

    Files that never change first, the timestamp after all that it vouches for. `skillrepo refresh --every` does this each
    minute; any number of hosts may do it at once.
    """
    from repo_server.publishing.spreading import spread as spread_tree
    from repo_server.publishing.spreading_s3 import Bucket

    repository = open_repository(ctx, console)
    done = spread_tree(repository, Bucket.of(repository), again=again)
    console.answer(
        {"sent": done.sent, "removed": done.removed, "timestamp_version": done.timestamp},
        f"timestamp {done.timestamp}: {done.sent} object(s) sent, {done.removed} removed",
    )
