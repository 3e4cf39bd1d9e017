"""`skillrepo root`: the first root, and each that follows it."""

import click

from repo_server.cli import ceremony, next_root


@click.group()
def root() -> None:
    """The ceremony that makes the trust anchor, and the roots that follow it."""


for _command in (
    ceremony.new,
    ceremony.sign,
    ceremony.merge_copies,
    ceremony.status,
    next_root.draft,
    next_root.publish,
):
    root.add_command(_command)
