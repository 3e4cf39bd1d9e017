"""Tokens: made once, kept as digests, good for one thing until they end."""

import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from repo_server.db import log as records
from repo_server.db.session import snapshot, transaction
from repo_server.tokens import (
    CURATE,
    Grant,
    Scope,
    TokenRefusedError,
    check_token,
    list_tokens,
    new_token,
    parse_token,
    record_use,
    revoke_token,
    use_is_stale,
)
from signing.errors import ConflictError, FormatError, NotEntitledError, NotFoundError
from signing.format.names import HolderName
from tests.support.world import World, now

PKG = Scope.parse("publish-pkg:FreeBSD:14:amd64/latest")


def make(world: World, *, scope: Scope = CURATE, days: float = 7) -> str:
    with transaction(world.repository.engine) as session:
        _, made = new_token(
            session, name=HolderName("alice"), scope=scope, expires=now() + timedelta(days=days), now=now()
        )
    return made


def check(world: World, given: str, *, later: timedelta = timedelta()) -> Grant:
    with snapshot(world.repository.engine) as session:
        return check_token(session, given, now=now() + later)


def test_a_token_looks_like_one_and_is_never_the_same(world: World) -> None:
    made = {make(world) for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(r"skt_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", token) for token in made)


def test_the_database_and_the_log_hold_no_token(world: World) -> None:
    made = make(world)
    secret = made.rpartition("_")[2]
    with snapshot(world.repository.engine) as session:
        rows = [str(row) for row in session.execute(text("SELECT * FROM tokens"))]
        said = [json.dumps(record.facts) for record in records.read(session)]
    assert rows
    assert any("alice" in line for line in said)
    for line in [*rows, *said]:
        assert secret[:10] not in line
    world.repository.engine.dispose()
    for path in world.repository.folder.glob("repository.db*"):
        assert secret[:20].encode() not in path.read_bytes()


def test_a_good_token_says_whose_and_for_what(world: World) -> None:
    grant = check(world, make(world))
    assert (grant.name, grant.scope) == ("alice", CURATE)
    grant.require(CURATE)


@pytest.mark.parametrize(("held", "asked"), [(PKG, CURATE), (CURATE, PKG)], ids=["pkg", "curate"])
def test_a_token_for_something_else(world: World, held: Scope, asked: Scope) -> None:
    with pytest.raises(NotEntitledError, match="good for"):
        check(world, make(world, scope=held)).require(asked)


def test_channels_do_not_include_each_other(world: World) -> None:
    grant = check(world, make(world, scope=PKG))
    grant.require(PKG)
    for other in ("publish-pkg:FreeBSD:14:amd64/quarterly", "publish-pkg:FreeBSD:15:amd64/latest"):
        with pytest.raises(NotEntitledError):
            grant.require(Scope.parse(other))


def test_a_token_ends(world: World) -> None:
    made = make(world, days=1)
    check(world, made, later=timedelta(hours=23))
    with pytest.raises(TokenRefusedError, match="ended"):
        check(world, made, later=timedelta(days=1, seconds=1))


def test_a_token_is_revoked_once(world: World) -> None:
    made = make(world)
    token_id = made.split("_")[1]
    with transaction(world.repository.engine) as session:
        revoke_token(session, token_id, now=now())
    with pytest.raises(TokenRefusedError, match="revoked"):
        check(world, made)
    with pytest.raises(ConflictError), transaction(world.repository.engine) as session:
        revoke_token(session, token_id, now=now())
    with pytest.raises(NotFoundError), transaction(world.repository.engine) as session:
        revoke_token(session, "0" * 12, now=now())


def test_almost_a_token(world: World) -> None:
    made = make(world)
    flipped = made[:-1] + ("A" if made[-1] != "A" else "B")
    other_id = "skt_" + "0" * 12 + made[16:]
    for given in (
        flipped,
        other_id,
        made + "x",
        made[:-1],
        made.upper(),
        f" {made}",
        f"{made}\n",
        "",
        "skt_",
    ):
        with pytest.raises(TokenRefusedError, match="not known") as caught:
            check(world, given)
        assert made not in str(caught.value.to_document())
    # One spelling: the last digit of 43 has bits that carry nothing, and still has to be the same.
    assert check(world, made).name == "alice"


def test_an_expired_token_says_so_only_to_who_has_it(world: World) -> None:
    made = make(world, days=1)
    with pytest.raises(TokenRefusedError, match="not known"):
        check(world, made[:-1] + ("A" if made[-1] != "A" else "B"), later=timedelta(days=2))


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "CURATE",
        "curate ",
        "curate,publish-pkg:x",
        "publish-pkg:",
        "publish-pkg:FreeBSD:14:amd64",
        "*",
        "admin",
    ],
)
def test_scopes_that_are_none(scope: str) -> None:
    with pytest.raises(FormatError):
        Scope.parse(scope)


@pytest.mark.parametrize("days", [0, -1, 367], ids=["now", "before", "too-long"])
def test_ends_that_are_refused(world: World, days: int) -> None:
    with pytest.raises(FormatError):
        make(world, days=days)
    with snapshot(world.repository.engine) as session:
        assert list_tokens(session) == []


def test_the_last_use_is_written_now_and_then(world: World) -> None:
    token_id = make(world).split("_")[1]
    moment = now()
    with transaction(world.repository.engine) as session:
        assert use_is_stale(session, token_id, now=moment)
        record_use(session, token_id, now=moment)
    with snapshot(world.repository.engine) as session:
        assert not use_is_stale(session, token_id, now=moment + timedelta(minutes=1))
        assert use_is_stale(session, token_id, now=moment + timedelta(minutes=10))


def test_what_is_no_token_is_not_repeated() -> None:
    with pytest.raises(TokenRefusedError) as caught:
        parse_token("correct horse battery staple")
    assert "horse" not in str(caught.value.to_document())
