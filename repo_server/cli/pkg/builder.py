"""`skillrepo pkg builder`: whose key says what a package repository holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from repo_server.cli.context import acting_as, clock, confirm, open_desk, open_signer
from repo_server.desk import Desk
from signing.console import Console, console_option
from signing.errors import BlockedError, KeyAccessError, UsageError
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey, holder_of

if TYPE_CHECKING:
    from securesystemslib.signer import Key

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

    Every curator names the same key file, from the builder and not from another curator; the repository may be
    elsewhere. Published at once when enough have signed and the online key is there, else by skillrepo publish.
    """
    from repo_server.db.session import transaction
    from repo_server.publishing.builders import builder_of, give_builder, plan_builder, subject_of

    wanted = PackageRepo.parse(repo)
    if drop == (key_file is not None):
        raise UsageError("which key?", hint="--key NAME.pub.json, or --drop what is proposed")
    desk = open_desk(ctx, console, to_sign=not drop)
    if key_file is None:
        desk.drop_builder(wanted)
        console.answer({"repository": str(wanted), "dropped": True}, f"no builder is proposed for {wanted}")
        return
    repository = desk.repository
    key = HeldKey.parse(_read(key_file), where=key_file.name)
    name = acting_as(holder, repository, "curator")
    desk.propose_builder(wanted, key)
    with transaction(repository.engine) as session:
        before = builder_of(repository, session, wanted)
        plan_builder(repository, session, wanted, key, now=clock())
    console.note(_render(wanted, key, before))
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with transaction(repository.engine) as session:
        standing = give_builder(repository, session, wanted, key, signer, now=clock())
    desk.hand_in_signatures(subject_of(wanted), keyid=signer.public_key.keyid)
    published = standing.complete and _published(desk, wanted, console)
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
            "replaces": before.keyid if before is not None else None,
            "signed": list(standing.signed),
            "missing": [] if standing.complete else list(standing.missing),
            "complete": standing.complete,
            "published": published,
        },
        f"signed by {name}: {key.holder} builds {wanted}\n{said}",
    )


def _render(repo: PackageRepo, key: HeldKey, before: "Key | None") -> str:
    lines = [f"{repo} is built by {key.holder}", f"  key id {key.keyid}"]
    if before is None:
        lines.append("  nobody builds it yet")
    elif before.keyid == key.keyid:
        lines.append("  who builds it already")
    else:
        lines += [f"  in place of {holder_of(before)}", f"  key id {before.keyid}"]
        lines.append("  what that key signed counts for nothing until the new builder publishes")
    return "\n".join([*lines, "  nobody else signs for it any more"])


def _published(desk: Desk, repo: PackageRepo, console: Console) -> bool:
    try:
        done = desk.publish(now=clock())
    except KeyAccessError as error:
        console.note(f"not published: {error}")
        return False
    if str(repo) in done["builders"]:
        return True
    mine = [item for item in done["blocked"] if item["subject"].endswith(f":{repo}")]
    why = mine[0]["message"] if mine else "something else is in the way"
    raise BlockedError(f"signed, but not published: {why}", hint="skillrepo status; skillrepo publish")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
