"""`skillrepo host-policy`: the policy of a jail host, signed by operators.

Here and not in `hive`, because a key that stands on the host which it is to bind would bind nobody.
"""

import tomllib
from datetime import timedelta
from pathlib import Path

import click

from repo_server.cli.context import acting_as, clock, confirm, open_desk, open_signer
from signing.console import Console, console_option
from signing.errors import FormatError, NotFoundError
from signing.format.envelope import Envelope
from signing.format.host_policy import (
    MAX_ENVELOPE_BYTES,
    MAX_LIFE,
    MAX_POLICY_BYTES,
    MAX_SERIAL,
    PolicyStatement,
    parse_policy_host,
)
from signing.format.moment import render_moment

_SIGNATURES = ".dsse.json"


@click.group("host-policy")
def host_policy() -> None:
    """Sign the policy file of a jail host."""


@host_policy.command("sign")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--serial", type=click.IntRange(1, MAX_SERIAL), help="Of a new policy; higher than any before.")
@click.option("--host", help="The host that it is for, by its own name; * for every host.")
@click.option("--days", type=click.IntRange(1, MAX_LIFE.days), help="How long it holds.")
@click.option(
    "--signatures",
    type=click.Path(path_type=Path),
    help="Where signatures stand; default: FILE with .dsse.json for its suffix.",
)
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The operator whose key signs.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def sign(
    ctx: click.Context,
    file: Path,
    serial: int | None,
    host: str | None,
    days: int | None,
    signatures: Path | None,
    holder: str | None,
    yes: bool,
    console: Console,
) -> None:
    """Sign the policy FILE of a jail host; the first operator says --serial, --host and --days, the others sign the same.

    File and signatures are then brought to the host, whose settings name both.
    """
    from repo_server.curation.textsafe import visible
    from repo_server.db.session import snapshot
    from repo_server.publishing.host_policies import Operators, Wanted, plan_envelope, sign_envelope
    from repo_server.storage.durable import write_durably

    place = signatures if signatures is not None else file.with_suffix(_SIGNATURES)
    data = _policy(file)
    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "operator")
    with snapshot(repository.engine) as session:
        operators = Operators.of(session, anchor=repository.anchor)
    wanted = Wanted(
        serial=serial,
        host=parse_policy_host(host, where="--host") if host is not None else None,
        life=timedelta(days=days) if days is not None else None,
    )
    envelope = plan_envelope(data, _before(place), wanted, now=clock())
    said = PolicyStatement.of(envelope)
    console.note(
        f"{visible(data.decode())}\n"
        f"  sha256  {said.sha256}\n"
        f"  for     {'every host' if said.host == '*' else said.host}\n"
        f"  serial  {said.serial}\n"
        f"  until   {render_moment(said.expires_at)}\n"
        f"  signed  by {', '.join(operators.signed(envelope)) or 'nobody yet'}; {operators.threshold} have to"
    )
    confirm(f"sign this as {name}?", console, yes=yes)
    envelope = sign_envelope(envelope, open_signer(ctx, repository, name), operators)
    write_durably(place, envelope.render())
    signed = operators.signed(envelope)
    missing = operators.threshold - len(signed)
    console.answer(
        {
            "file": str(file),
            "signatures": str(place),
            "sha256": said.sha256,
            "host": said.host,
            "serial": said.serial,
            "expires_at": render_moment(said.expires_at),
            "signed_by": signed,
            "threshold": operators.threshold,
            "complete": missing <= 0,
        },
        f"signed by {name}: {place}\n"
        + (
            f"{missing} more have to sign: skillrepo host-policy sign {file} --as OPERATOR"
            if missing > 0
            else "next: bring both files to the host, and name them there: policy, policy_signatures"
        ),
    )


def _policy(path: Path) -> bytes:
    data = _read(path, MAX_POLICY_BYTES)
    try:
        tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError("not TOML", where=str(path)) from error
    return data


def _before(path: Path) -> Envelope | None:
    return Envelope.parse(_read(path, MAX_ENVELOPE_BYTES), where=str(path)) if path.exists() else None


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > most:
        raise FormatError(f"larger than {most} bytes", where=str(path))
    return data
