"""Tokens of agents: made from the host's key, known to the database by digest only.

    token = base64url(HMAC-SHA256(key, "hive-agent-token/v1" NUL agent NUL generation))

The same agent and generation give the same token, so the `.env` of a jail can be written again without anybody
having kept the token. Rotating raises the generation. A revoked one is never issued again under its number.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.agents.errors import TokenRefusedError
from hive.agents.names import AgentId
from hive.db.agent_tables import AgentRow, TokenRow
from signing.errors import KeyAccessError, NotEntitledError, NotFoundError
from signing.format.digest import sha256_of

KEY_BYTES: Final = 32
_CONTEXT: Final = b"hive-agent-token/v1\0"
_PRESENTED: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_GONE: Final = frozenset({"banned", "retired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentToken:
    """A token, to be written where its agent finds it, and nowhere else."""

    agent_id: AgentId
    generation: int
    text: str = field(repr=False)


def issue(session: Session, key: bytes, agent_id: AgentId, *, now: datetime) -> AgentToken:
    """Return the agent's token, made anew when there is none or the last was revoked.

    Raises:
        NotEntitledError: the agent is banned or retired.
        KeyAccessError: the database knows another token of this generation: this is not the host's key.
    """
    _check_not_gone(session, agent_id)
    row = session.get(TokenRow, agent_id, with_for_update=True)
    if row is None or row.revoked_at is not None:
        return _next(session, key, agent_id, row, now=now)
    token = _render(key, agent_id, row.generation)
    if not hmac.compare_digest(_digest(token.text), row.token_sha256):
        raise KeyAccessError(
            f"the token key of this host is not the one that {agent_id}'s token was made with",
            hint="restore the state folder's agent-token.key; or rotate the token with this one",
        )
    return token


def rotate(session: Session, key: bytes, agent_id: AgentId, *, now: datetime) -> AgentToken:
    """Return a new token; the one before is refused from now on.

    Raises:
        NotEntitledError: the agent is banned or retired.
    """
    _check_not_gone(session, agent_id)
    return _next(session, key, agent_id, session.get(TokenRow, agent_id, with_for_update=True), now=now)


def revoke(session: Session, agent_id: AgentId, *, now: datetime) -> None:
    """Refuse the agent's token from now on.

    Raises:
        NotFoundError: it never had one.
    """
    row = session.get(TokenRow, agent_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"no token was issued to {agent_id}")
    if row.revoked_at is None:
        row.revoked_at = now
        facts = {"agent": agent_id, "generation": row.generation}
        audit.append(session, event="token.revoked", facts=facts, now=now)


def authenticate(session: Session, presented: str) -> AgentId:
    """Return whose token this is.

    It is looked up by its digest: how long that takes tells about the digest of a guess, and nothing about tokens.

    Raises:
        TokenRefusedError: nobody's, or revoked. The two are not told apart.
    """
    if not _PRESENTED.fullmatch(presented):
        raise TokenRefusedError
    digest = _digest(presented)
    row = session.scalars(select(TokenRow).where(TokenRow.token_sha256 == digest)).first()
    if row is None or row.revoked_at is not None or not hmac.compare_digest(row.token_sha256, digest):
        raise TokenRefusedError
    return AgentId(row.agent_id)


def _next(
    session: Session, key: bytes, agent_id: AgentId, row: TokenRow | None, *, now: datetime
) -> AgentToken:
    token = _render(key, agent_id, 1 if row is None else row.generation + 1)
    if row is None:
        row = TokenRow(agent_id=agent_id)
        session.add(row)
    row.generation, row.token_sha256 = token.generation, _digest(token.text)
    row.issued_at, row.revoked_at = now, None
    facts = {"agent": agent_id, "generation": token.generation}
    audit.append(session, event="token.issued", facts=facts, now=now)
    return token


def _check_not_gone(session: Session, agent_id: AgentId) -> None:
    row = session.get(AgentRow, agent_id)
    if row is not None and row.standing in _GONE:
        raise NotEntitledError(
            f"agent {agent_id} is {row.standing}", hint="this identity is closed; register another"
        )


def _render(key: bytes, agent_id: AgentId, generation: int) -> AgentToken:
    if len(key) != KEY_BYTES:
        raise KeyAccessError("the token key of this host is damaged", hint="restore it from a backup")
    message = _CONTEXT + agent_id.encode() + b"\0" + str(generation).encode()
    mac = hmac.new(key, message, hashlib.sha256).digest()
    text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    return AgentToken(agent_id=agent_id, generation=generation, text=text)


def _digest(token: str) -> str:
    return sha256_of(token.encode())
