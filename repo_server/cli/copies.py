"""`skillrepo replicate` and `skillrepo resume`: copies of what is published, and going on from one."""

from pathlib import Path
from typing import Any

import click

from repo_server.cli.context import clock, open_online_signer, open_repository
from signing.console import Console, console_option
from signing.errors import UsageError


@click.command()
@click.argument("copy", metavar="DIR", type=click.Path(path_type=Path))
@console_option
@click.pass_context
def replicate(ctx: click.Context, copy: Path, console: Console) -> None:
    """Bring DIR to the state that is published now: skills/ and pkg/, plain files for another web server.

    Others may publish meanwhile: the copy is a whole state at every moment, and never an older one than it was.
    """
    from repo_server.archiving.replicating import replicate as copy_tree

    repository = open_repository(ctx, console)
    done = copy_tree(repository.folder / "public", copy)
    console.answer(
        {"copy": str(copy), "files": done.files, "timestamp": done.timestamp},
        f"{copy}: {done.files} file(s) written, timestamp {done.timestamp}",
    )


@click.command()
@click.option(
    "--from",
    "copy",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The newest copy of the published tree (replica, current/ of a mirror, archive, public/): skills/ and pkg/.",
)
@click.option(
    "--beyond",
    type=click.IntRange(min=1),
    metavar="N",
    help="Without any copy: sign snapshot and timestamp beyond version N, which no client can have seen.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@console_option
@click.pass_context
def resume(ctx: click.Context, copy: Path | None, beyond: int | None, yes: bool, console: Console) -> None:
    """Go on after the database was restored from a backup, from a state that clients accept.

    With --from, what was signed since the backup is verified and taken up: releases, profiles, withdrawals, packages. With
    --beyond only what the online key signs moves on; docs/restore.md says what people have to sign again.
    """
    from repo_server.archiving.resuming import Resumed, resume_beyond, resume_from

    if (copy is None) == (beyond is None):
        raise UsageError(
            "from what?", hint="--from DIR, the newest copy there is; or, without any, --beyond N"
        )
    repository = open_repository(ctx, console)
    online = open_online_signer(ctx, repository)
    done: Resumed
    if copy is not None:
        done = resume_from(repository, copy, online, now=clock())
    else:
        number = beyond or 0
        if not yes:
            if not console.can_ask():
                raise UsageError("there is no way back to lower versions", hint="--yes says that you mean it")
            click.confirm(
                f"sign beyond version {number}? there is no way back to lower ones", err=True, abort=True
            )
        done = resume_beyond(repository, number, online, now=clock())
    console.answer(
        _document(done.roles, done.online.snapshot, done.online.timestamp), _text(done.roles, done.online)
    )


def _document(roles: dict[str, int], snapshot: int, timestamp: int) -> dict[str, Any]:
    return {"roles": dict(sorted(roles.items())), "snapshot": snapshot, "timestamp": timestamp}


def _text(roles: dict[str, int], online: Any) -> str:
    lines = [f"took up {role} version {version}" for role, version in sorted(roles.items())]
    return "\n".join([*lines, f"signed snapshot {online.snapshot}, timestamp {online.timestamp}"])
