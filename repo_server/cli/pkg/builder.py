"""`skillrepo pkg builder`: whose key says what a package repository holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from signing.errors import KeyAccessError, UsageError
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey

if TYPE_CHECKING:
    from repo_server.repository import Repository

_MAX_KEY: Final = 4096


@click.command("builder")
@click.argument("repo", metavar="ABI/CHANNEL")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="The builder's public key (NAME.pub.json), as you have it from the builder.",
)
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs.")
@click.option("--drop", is_flag=True, help="Give up what is proposed, and its signatures.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def builder(
    ctx: click.Context,
    repo: str,
    key_file: Path | None,
    holder: str | None,
    drop: bool,
    yes: bool,
    console: Console,
) -> None:
    """Appoint the builder of ABI/CHANNEL, or another one in its place; it takes as many curators as a release does.

    Every curator names the same key file, from the builder and not from another curator. Done on the machine that has
    the repository. Published at once when enough have signed and the online key is here, else by skillrepo publish.
    """
    from repo_server.db.session import transaction
    from repo_server.publishing.builders import drop_builder, give_builder, plan_builder

    wanted = PackageRepo.parse(repo)
    if drop == (key_file is not None):
        raise UsageError("which key?", hint="--key NAME.pub.json, or --drop what is proposed")
    repository = open_repository(ctx, console, to_sign=not drop)
    if key_file is None:
        with transaction(repository.engine) as session:
            drop_builder(session, wanted)
        console.answer({"repository": str(wanted), "dropped": True}, f"no builder is proposed for {wanted}")
        return
    key = HeldKey.parse(_read(key_file))
    name = acting_as(holder, repository, "curator")
    with transaction(repository.engine) as session:
        plan_builder(repository, session, wanted, key, now=clock())
    console.note(
        f"{wanted} is built by {key.holder}\n  key id {key.keyid}\n  nobody else signs for it any more"
    )
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with transaction(repository.engine) as session:
        standing = give_builder(repository, session, wanted, key, signer, now=clock())
    published = standing.complete and _published(ctx, repository, console)
    need = standing.threshold - len(standing.signed)
    said = (
        "published"
        if published
        else "complete: skillrepo publish"
        if standing.complete
        else f"{need} more signature(s) needed, of: {', '.join(standing.missing)}"
    )
    console.answer(
        {
            "repository": str(wanted),
            "builder": key.holder,
            "keyid": key.keyid,
            "signed": list(standing.signed),
            "missing": [] if standing.complete else list(standing.missing),
            "complete": standing.complete,
            "published": published,
        },
        f"signed by {name}: {key.holder} builds {wanted}\n{said}",
    )


def _published(ctx: click.Context, repository: "Repository", console: Console) -> bool:
    from repo_server.publishing.publish import publish

    try:
        online = open_online_signer(ctx, repository)
    except KeyAccessError as error:
        console.note(f"not published: {error}")
        return False
    publish(repository, online, now=clock())
    return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
