"""What the commands of `skillrepo` share: the repository, the keys, the clock (edge)."""

import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from signing.console import Console
from signing.errors import HostError, KeyAccessError, UsageError
from signing.format.names import HolderName, parse_holder_name
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key

# A review of bare folders needs neither database nor desk.
if TYPE_CHECKING:
    from repo_server.desk import Desk
    from repo_server.repository import Repository

ONLINE: Final = HolderName("online")
DEV_PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a file
_MAX_PASSPHRASE: Final = 4096
_MAX_ANCHOR: Final = 512_000


def clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def open_repository(ctx: click.Context, console: Console, *, to_sign: bool = False) -> "Repository":
    """Return the repository that the options name, and say so when its keys are throw-away keys.

    With ``to_sign``, it is opened under the trust anchor that the signer brings along.

    Raises:
        UsageError: none is named, or a signer brings no anchor.
        NotFoundError: there is none. CouldNotVerifyError: its anchor is another one.
        RollbackError: with ``to_sign``, what is published is older than what this signer has seen.
    """
    from repo_server.repository import Repository

    folder = ctx.find_root().obj["repo"]
    if folder is None:
        raise UsageError("no repository named", hint="give --repo DIR or set SKILLREPO_REPO")
    if isinstance(folder, str):
        raise UsageError(
            "this is done on the machine that has the repository", hint="run it there, with --repo DIR"
        )
    anchor = _signers_anchor(ctx, Path(folder)) if to_sign else None
    repository = Repository.open(
        folder,
        database=ctx.find_root().obj["database"],
        anchor=anchor,
        signers_folder=signers_folder(ctx) if to_sign else None,
    )
    if anchor is not None and (own := signers_folder(ctx)) is not None:
        _remember_base(repository, own, anchor, console)
    if repository.config.dev:
        console.note("development repository: everybody's keys are throw-away keys on this machine")
    return repository


def _remember_base(repository: "Repository", folder: Path, anchor: bytes, console: Console) -> None:
    from repo_server.db.session import snapshot
    from repo_server.publishing.seen_base import remember_base

    try:
        with snapshot(repository.engine) as session:
            remember_base(session, folder, anchor=anchor)
    except HostError as error:  # keys on a medium that cannot be written
        console.note(f"warning: whether this state is older than one you saw is not known: {error}")


def open_desk(ctx: click.Context, console: Console, *, to_sign: bool = False) -> "Desk":
    """Return the desk of the repository that the options name: a folder, or one behind https.

    Raises:
        SkillRepoError: see `open_repository`, and `repo_server.desk.remote.RemoteDesk`.
    """
    if isinstance(ctx.find_root().obj["repo"], str):
        from repo_server.cli.remote import open_remote_desk

        return open_remote_desk(ctx, console)
    from repo_server.desk import LocalDesk

    repository = open_repository(ctx, console, to_sign=to_sign)
    return LocalDesk(repository, lambda: open_online_signer(ctx, repository))


def signers_folder(ctx: click.Context) -> Path | None:
    """Return the folder on the signer's own side: that of the trust anchor brought along, or of the keys."""
    options = ctx.find_root().obj
    if options["trust_anchor"] is not None:
        return Path(options["trust_anchor"]).parent
    return Path(options["keys"]) if options["keys"] is not None else None


def _signers_anchor(ctx: click.Context, folder: Path) -> bytes | None:
    """Return the anchor from the signer's side: named by an option, or beside the signer's keys.

    Only where the keys themselves lie in the repository's folder (a development repository) is there nothing
    to bring along: whoever can change the anchor there can use the keys too.
    """
    options = ctx.find_root().obj
    if options["trust_anchor"] is not None:
        return read_anchor(Path(options["trust_anchor"]))
    keys = options["keys"]
    if keys is None or Path(keys).resolve() == (folder / "keys").resolve():
        return None
    from repo_server.repository import ANCHOR_NAME

    beside = Path(keys) / ANCHOR_NAME
    if not beside.exists():
        raise UsageError(
            f"no trust anchor beside your keys ({beside})",
            hint="put the trust anchor that you know to be right there, or name it by --trust-anchor FILE",
        )
    return read_anchor(beside)


def read_anchor(path: Path) -> bytes:
    """Return the trust anchor in the file ``path``.

    Raises:
        KeyAccessError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_ANCHOR)
    except OSError as error:
        raise KeyAccessError(f"cannot read the trust anchor {path}: {error.strerror}") from error


def open_signer(ctx: click.Context, repository: "Repository", holder: str) -> SealedKeySigner:
    """Return the signer of the key holder named ``holder``.

    Raises:
        KeyAccessError: there is no such key file, or its passphrase is not to be had.
    """
    name = parse_holder_name(holder)
    folder = ctx.find_root().obj["keys"] or repository.keys
    return load_signer(ctx, Path(folder) / f"{name}{KEY_SUFFIX}", dev=repository.config.dev)


def open_online_signer(ctx: click.Context, repository: "Repository") -> SealedKeySigner:
    """Return the signer of the online key, which stands beside the repository."""
    path = repository.keys / f"{ONLINE}{KEY_SUFFIX}"
    own_file = ctx.find_root().obj["online_passphrase_file"]
    if own_file is not None:
        return load_key(path, passphrase=lambda _: read_passphrase(own_file))
    return load_signer(ctx, path, dev=repository.config.dev)


def load_signer(ctx: click.Context, path: Path, *, dev: bool = False) -> SealedKeySigner:
    """Return the signer of the key file ``path``; the passphrase comes from a file, a descriptor or a prompt.

    Raises:
        KeyAccessError: see `signing.keystore.load_key`; or there is nobody to ask.
    """
    return load_key(path, passphrase=lambda holder: passphrase_for(ctx, holder, beside=path if dev else None))


def passphrase_for(
    ctx: click.Context, holder: HolderName, *, beside: Path | None = None, new: bool = False
) -> str:
    """Return the passphrase of ``holder``'s key.

    Raises:
        KeyAccessError: it is not given and nobody is there to ask.
    """
    options = ctx.find_root().obj
    if options["passphrase_fd"] is not None:
        if "passphrase_read" not in options:  # a descriptor can be read once; a command may need it twice
            options["passphrase_read"] = _read(options["passphrase_fd"], "the descriptor")
        return str(options["passphrase_read"])
    if options["passphrase_file"] is not None:
        return read_passphrase(options["passphrase_file"])
    if beside is not None and (beside.parent / DEV_PASSPHRASE).exists():
        return read_passphrase(beside.parent / DEV_PASSPHRASE)
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise KeyAccessError(
            f"the passphrase of {holder}'s key is needed and there is no terminal to ask at",
            hint=(
                "give --online-passphrase-file FILE"
                if holder == ONLINE
                else "give --passphrase-file FILE or --passphrase-fd N"
            )
            + " (never an argument: others can read those)",
        )
    answer = click.prompt(
        f"passphrase of {holder}'s key", hide_input=True, confirmation_prompt=new, err=True, type=str
    )
    return str(answer)


def acting_as(given: str | None, repository: "Repository", kind: str) -> str:
    """Return who acts: the one named by ``--as``, or the first throw-away key of that kind.

    Raises:
        UsageError: nobody is named.
    """
    if given:
        return given
    if repository.config.dev:
        return f"{kind}-1"
    raise UsageError("who are you?", hint=f"name your key by --as NAME (NAME{KEY_SUFFIX} in --keys DIR)")


def read_passphrase(path: Path, *, what: str = "passphrase") -> str:
    """Return the passphrase (or another secret, by ``what``) in the file ``path``, which nobody else may read.

    Raises:
        KeyAccessError: there is none, it cannot be read, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyAccessError(f"cannot read the {what} file: {error.strerror}") from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        os.close(descriptor)
        raise KeyAccessError(f"others may read the {what} file {path}", hint=f"chmod 600 {path}")
    return _read(descriptor, str(path), what=what)


def _read(descriptor: int, place: str, *, what: str = "passphrase") -> str:
    try:
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(_MAX_PASSPHRASE + 1)
        text = data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyAccessError(f"cannot read a {what} from {place}") from error
    if not text or len(data) > _MAX_PASSPHRASE:
        raise KeyAccessError(f"{place} holds no {what}")
    return text


def confirm(question: str, console: Console, *, yes: bool) -> None:
    """Ask before signing, when a person is there to answer; a no ends the command like an interrupt.

    Raises:
        click.Abort: the answer is no.
    """
    if not yes and console.can_ask():
        click.confirm(question, err=True, abort=True)
