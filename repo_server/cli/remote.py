"""Opening the desk of a repository behind https: address, token and anchor from this machine (edge)."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from repo_server.cli.context import read_anchor, read_passphrase, signers_folder
from repo_server.repository import ANCHOR_NAME
from repo_server.tokens import parse_token
from signing.console import Console
from signing.errors import KeyAccessError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from repo_server.desk.remote import RemoteDesk

_LARGE = 1 << 20  # smaller uploads are over before anybody could read how far they are


def open_remote_desk(ctx: click.Context, console: Console) -> "RemoteDesk":
    """Return the desk of the repository whose address stands in ``--repo``.

    Raises:
        UsageError: the address is none, or there is no anchor of the curator's own.
        KeyAccessError: there is no token, or others may read it.
        SkillRepoError: the server cannot be asked, or what it shows is not what it should be.
    """
    from repo_server.desk.client import DeskAddress, DeskClient
    from repo_server.desk.mirror import MirrorPlace
    from repo_server.desk.remote import RemoteDesk

    options = ctx.find_root().obj
    if options["database"] is not None:
        raise UsageError("--db is for a repository on this machine", hint="leave it out")
    address = DeskAddress.parse(options["repo"])
    anchor = anchor_of(ctx)
    client = DeskClient(address, token_of(options["token_file"]))
    place = MirrorPlace.of(str(address), anchor, folder=options["mirror"])
    desk = RemoteDesk(
        client, place, anchor=anchor, signers_folder=signers_folder(ctx), tell=_teller(ctx, console)
    )
    ctx.find_root().call_on_close(desk.close)
    if desk.dev:
        console.note(f"{address} calls itself a development repository: its keys are throw-away keys")
    return desk


def anchor_of(ctx: click.Context) -> bytes:
    """Return the trust anchor of one's own side.

    Raises:
        UsageError: there is none. KeyAccessError: it cannot be read.
    """
    options = ctx.find_root().obj
    if options["trust_anchor"] is not None:
        return read_anchor(Path(options["trust_anchor"]))
    if options["keys"] is not None and (Path(options["keys"]) / ANCHOR_NAME).exists():
        return read_anchor(Path(options["keys"]) / ANCHOR_NAME)
    raise UsageError(
        "what a server shows is checked from a trust anchor of your own",
        hint=f"--trust-anchor FILE, or put {ANCHOR_NAME} beside your keys (--keys DIR); never take it from the server",
    )


def token_of(path: Path | None) -> str:
    """Return the token in the file ``path``.

    Raises:
        KeyAccessError: no file is named, it cannot be read, or others may read it.
    """
    if path is None:
        raise KeyAccessError(
            "a repository behind https needs a token",
            hint="give --token-file FILE or SKILLREPO_TOKEN_FILE (never the token itself: others can read that)",
        )
    return parse_token(read_passphrase(path, what="token"))


def _teller(ctx: click.Context, console: Console) -> Callable[[int, int], None]:
    """Return who says on stderr how far an upload is; a bar only for a person at a terminal."""
    if console.as_json or not sys.stderr.isatty():
        return lambda _sent, _total: None
    shown: list[tuple[Progress, TaskID]] = []

    def tell(sent: int, total: int) -> None:
        if total < _LARGE:
            return
        if not shown:
            shown.append(_bar(total))
            ctx.find_root().call_on_close(shown[0][0].stop)
        progress, task = shown[0]
        progress.update(task, completed=sent)
        if sent >= total:
            progress.stop()

    return tell


def _bar(total: int) -> "tuple[Progress, TaskID]":
    from rich.console import Console as Screen
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    progress = Progress(
        TextColumn("uploading"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Screen(stderr=True),
    )
    progress.start()
    return progress, progress.add_task("upload", total=total)
