"""`skillrepo token`: who may talk to this repository over HTTP."""

from datetime import UTC, datetime, time, timedelta

import click

from repo_server.cli.context import clock, open_repository
from signing.console import Console, console_option
from signing.errors import FormatError
from signing.format.moment import render_moment
from signing.format.names import parse_holder_name

_MAX_DIGITS = 4


@click.group()
def token() -> None:
    """Make, list and revoke tokens. A token lets somebody talk; what counts is signed with keys."""


@token.command("new")
@click.option(
    "--scope", required=True, metavar="curate|publish-pkg:ABI/CHANNEL|pull-pkg:…", help="What it is good for."
)
@click.option(
    "--expires", required=True, metavar="DAYS|DATE", help="When it ends; at most 366 days from now."
)
@click.option("--name", required=True, metavar="WHO", help="Whom it is for.")
@console_option
@click.pass_context
def new(ctx: click.Context, scope: str, expires: str, name: str, console: Console) -> None:
    """Make a token and show it, once: the repository keeps its digest only.

    Send its output to a file that nobody else may read, and name that by --token-file.
    """
    from repo_server.db.session import transaction
    from repo_server.tokens import Scope, new_token

    repository = open_repository(ctx, console)
    with transaction(repository.engine) as session:
        row, text = new_token(
            session,
            name=parse_holder_name(name, where="--name"),
            scope=Scope.parse(scope, where="--scope"),
            expires=_end(expires, clock()),
            now=clock(),
        )
    console.note(
        f"token {row.id} for {row.name}, {row.scope}, until {render_moment(row.expires_at)}; shown once"
    )
    console.answer(
        {
            "id": row.id,
            "name": row.name,
            "scope": row.scope,
            "expires": render_moment(row.expires_at),
            "token": text,
        },
        text,
    )


@token.command("list")
@console_option
@click.pass_context
def list_(ctx: click.Context, console: Console) -> None:
    """List the tokens: whose, for what, until when, used when."""
    from repo_server.db.session import snapshot
    from repo_server.tokens import list_tokens

    repository = open_repository(ctx, console)
    now = clock()
    with snapshot(repository.engine) as session:
        rows = list_tokens(session)
    items = [
        {
            "id": row.id,
            "name": row.name,
            "scope": row.scope,
            "state": "revoked"
            if row.revoked_at is not None
            else "expired"
            if row.expires_at <= now
            else "good",
            "created": render_moment(row.created_at),
            "expires": render_moment(row.expires_at),
            "revoked": render_moment(row.revoked_at) if row.revoked_at is not None else None,
            "last_used": render_moment(row.last_used_at) if row.last_used_at is not None else None,
        }
        for row in rows
    ]
    lines = [
        f"{item['id']}  {item['state']:8} {item['name']:16} {item['scope']}  until {item['expires']}"
        f"  used {item['last_used'] or 'never'}"
        for item in items
    ]
    console.answer({"tokens": items}, "\n".join(lines) or "no tokens")


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@console_option
@click.pass_context
def revoke(ctx: click.Context, token_id: str, console: Console) -> None:
    """End a token now. What its holder signed stays signed."""
    from repo_server.db.session import transaction
    from repo_server.tokens import revoke_token

    repository = open_repository(ctx, console)
    with transaction(repository.engine) as session:
        row = revoke_token(session, token_id, now=clock())
    console.answer({"id": row.id, "name": row.name, "revoked": True}, f"revoked {row.id} ({row.name})")


def _end(text: str, now: datetime) -> datetime:
    """Return the end that ``text`` means: so many days from now, or the end of that day."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return now + timedelta(days=int(text))
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise FormatError("neither a number of days nor a date like 2027-01-31", where="--expires") from error
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)
