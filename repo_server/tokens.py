"""Tokens: who may talk to the desk over HTTP. What they say is decided by signatures, not by tokens.

    skt_5f3a91c07be2_Jm0c…            skt, 12 hexadecimal digits that name it, 256 random bits; shown once
    curate                            stage, read, hand in reviews and signatures, publish what is signed
    publish-pkg:FreeBSD:14:amd64/latest    hand in builds for one ABI and channel
    pull-pkg:FreeBSD:14:amd64/latest       fetch the packages of one ABI and channel, where that takes a token

The database holds the sha256 of a token, never the token: 256 random bits need no salt and no slow hash. A token
ends by its expiry, or when it is revoked; both are answered with the reason, but only to whoever has the secret.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.db import log
from repo_server.db.models import TokenRow
from signing.errors import ConflictError, FormatError, NotEntitledError, NotFoundError, PolicyError
from signing.format.digest import sha256_of
from signing.format.moment import render_moment
from signing.format.names import HolderName

MAX_LIFE: Final = timedelta(days=366)
_CURATE: Final = "curate"
PUBLISH_PKG: Final = "publish-pkg"
PULL_PKG: Final = "pull-pkg"
_TOKEN: Final = re.compile(r"skt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_SCOPE: Final = re.compile(
    r"curate|(?:publish|pull)-pkg:[A-Za-z]{1,20}:[0-9]{1,3}:[a-z0-9]{1,20}/[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII
)
_MAX_SCOPE: Final = 120
_USED_EVERY: Final = timedelta(minutes=5)  # how exactly it is known when a token was used last
_SECRET_BYTES: Final = 32
_NEEDLESS: Final = sha256_of(b"no token has this digest")


class TokenRefusedError(PolicyError):
    """The token is missing, unknown, expired or revoked."""

    code = "token-refused"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is good for; two scopes never include each other."""

    text: str

    @classmethod
    def parse(cls, text: str, *, where: str = "scope") -> Self:
        """Return ``curate``, ``publish-pkg:ABI/CHANNEL`` or ``pull-pkg:ABI/CHANNEL`` as a scope.

        Raises:
            FormatError: it is none of them.
        """
        if len(text) > _MAX_SCOPE or not _SCOPE.fullmatch(text):
            raise FormatError(
                f"{text[:80]!a} is not a scope",
                where=where,
                hint=f"{_CURATE}, {PUBLISH_PKG}:ABI/CHANNEL or {PULL_PKG}:ABI/CHANNEL,"
                f" as in {PUBLISH_PKG}:FreeBSD:14:amd64/latest",
            )
        return cls(text)

    def __str__(self) -> str:
        return self.text


CURATE: Final = Scope(_CURATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who talks, by a token that was checked."""

    id: str
    name: str
    scope: Scope

    def require(self, scope: Scope) -> None:
        """Return None when the token is good for ``scope``.

        Raises:
            NotEntitledError: it is good for something else.
        """
        if self.scope != scope:
            raise NotEntitledError(
                f"the token {self.id} is good for {self.scope}, not for {scope}",
                hint=f"use a token of that scope: skillrepo token new --scope {scope}",
            )


def parse_token(text: str) -> str:
    """Return ``text`` when it is spelled like a token. The error never repeats it.

    Raises:
        TokenRefusedError: it is not.
    """
    if not _TOKEN.fullmatch(text):
        raise TokenRefusedError("this is not a token of ours", hint="a token begins with skt_")
    return text


def new_token(
    session: Session, *, name: HolderName, scope: Scope, expires: datetime, now: datetime
) -> tuple[TokenRow, str]:
    """Make a token for ``name`` and return its row and its text, which is kept nowhere.

    Raises:
        FormatError: it would end at once, or live for more than `MAX_LIFE`.
    """
    if not now < expires <= now + MAX_LIFE:
        raise FormatError(
            f"a token ends within {MAX_LIFE.days} days, and not before it begins", where="--expires"
        )
    token_id = secrets.token_hex(6)
    text = f"skt_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = TokenRow(
        id=token_id,
        digest=sha256_of(text.encode()),
        name=name,
        scope=scope.text,
        created_at=now.replace(microsecond=0),
        expires_at=expires.replace(microsecond=0),
    )
    session.add(row)
    facts = {"token": token_id, "name": name, "scope": scope.text, "expires": render_moment(expires)}
    log.append(session, event="token.created", facts=facts, now=now)
    return row, text


def list_tokens(session: Session) -> list[TokenRow]:
    """Return all tokens, the oldest first."""
    return list(session.scalars(select(TokenRow).order_by(TokenRow.created_at, TokenRow.id)))


def revoke_token(session: Session, token_id: str, *, now: datetime) -> TokenRow:
    """End a token now.

    Raises:
        NotFoundError: there is none of that id. ConflictError: it is revoked already.
    """
    row = session.get(TokenRow, token_id)
    if row is None:
        raise NotFoundError(f"no token {token_id[:40]!a}", hint="skillrepo token list shows the ids")
    if row.revoked_at is not None:
        raise ConflictError(f"token {row.id} is revoked already, since {render_moment(row.revoked_at)}")
    row.revoked_at = now.replace(microsecond=0)
    log.append(session, event="token.revoked", facts={"token": row.id, "name": row.name}, now=now)
    return row


def check_token(session: Session, text: str, *, now: datetime) -> Grant:
    """Return what the token ``text`` grants at ``now``.

    Raises:
        TokenRefusedError: unknown, expired or revoked.
    """
    match = _TOKEN.fullmatch(text)
    row = session.get(TokenRow, match[1]) if match is not None else None
    # Compared also when there is no such token: how long it takes must not tell ids that exist.
    known = hmac.compare_digest(row.digest if row is not None else _NEEDLESS, sha256_of(text.encode()))
    if row is None or not known:
        raise TokenRefusedError(
            "this token is not known here", hint="ask for one of this repository: skillrepo token new"
        )
    if row.revoked_at is not None:
        raise TokenRefusedError(f"token {row.id} was revoked", hint="ask for a new one")
    if row.expires_at <= now:
        raise TokenRefusedError(
            f"token {row.id} ended at {render_moment(row.expires_at)}", hint="ask for a new one"
        )
    return Grant(id=row.id, name=row.name, scope=Scope.parse(row.scope))


def use_is_stale(session: Session, token_id: str, *, now: datetime) -> bool:
    """Return whether the recorded last use of a token is so old that it should be written again."""
    row = session.get_one(TokenRow, token_id)
    return row.last_used_at is None or now - row.last_used_at >= _USED_EVERY


def record_use(session: Session, token_id: str, *, now: datetime) -> None:
    """Write down that a token is used; to some minutes, so that reading does not mean writing."""
    session.get_one(TokenRow, token_id).last_used_at = now.replace(microsecond=0)
