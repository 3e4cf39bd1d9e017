"""One bad row must not stop a withdrawal, nor hide what else there is to see."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from repo_server.curation.candidates import find
from repo_server.db.models import CandidateRow, ProposalRow, ReleaseRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.overview import overview
from repo_server.publishing.proposals import open_proposals
from signing.errors import NotFoundError
from signing.format.names import Pin
from tests.repo_server.publishing.test_withdrawals import entries, offered, state_of
from tests.support.withdrawing import withdraw
from tests.support.world import World, now

NOTES = Pin.parse("notes==1.0")


def _proposal(session: Session, **values: Any) -> None:
    row = open_proposals(session)[0]
    given = {
        "subject": row.subject,
        "role": row.role,
        "version": 99,
        "base_sha256": "0" * 64,
        "content": row.content,
        "state": "open",
        "created_at": now(),
    }
    session.execute(insert(ProposalRow).values({**given, **values}))


def _candidate(session: Session, **values: Any) -> None:
    session.execute(update(CandidateRow).where(CandidateRow.name == "notes").values(**values))


def _release(session: Session) -> None:
    row = {
        **dict.fromkeys(("bundle_sha256", "tree_sha256", "review_sha256"), "0" * 64),
        "name": "notes",
        "version": "1.0",
        "kind": "skill",
        "state": "published",
        "description": "",
        "reviewers": "",
        "bundle_bytes": 1,
        "candidate_id": find(session, "notes").id,
    }
    session.execute(insert(ReleaseRow).values(**row, published_at=now()))


DAMAGE: dict[str, Callable[[Session], None]] = {
    "no metadata": lambda session: _proposal(session, content=b"{}"),
    "no metadata of the list": lambda session: _proposal(session, role="revocations", content=b"{}"),
    "no such role": lambda session: _proposal(session, role="nonsense"),
    "no such kind": lambda session: _proposal(session, subject="nonsense"),
    "no such candidate": lambda session: _proposal(session, subject=f"candidate:{'0' * 32}"),
    "not resolved": lambda session: _candidate(session, resolved="{"),
    "not observed": lambda session: _candidate(session, observations="{}"),
    "no review": lambda session: _candidate(session, review_sha256="../../etc/passwd"),
    "no state": lambda session: _candidate(session, state="nonsense"),
}


@pytest.fixture(scope="module")
def _signed_template(_world_template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = _world_template.copy_to(tmp_path_factory.mktemp("signed"))
    candidate = world.import_skill("notes==1.0")
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    return world


@pytest.fixture
def signed(_signed_template: World, tmp_path: Path) -> Iterator[World]:
    """A repository where notes==1.0 is completely signed."""
    world = _signed_template.copy_to(tmp_path / "signed")
    yield world
    world.close()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_withdrawal_is_published_past_a_damaged_row(
    signed: World, damage: Callable[[Session], None]
) -> None:
    with transaction(signed.repository.engine) as session:
        damage(session)
    entry = withdraw(signed, "web-search")
    assert entries(signed) == (entry,)
    assert state_of(signed) == "revoked"
    with snapshot(signed.repository.engine) as session:
        (item,) = overview(signed.repository, session, now=now())["withdrawals"]
    assert item["id"] == entry.id


@pytest.mark.parametrize("name", ["no metadata", "no such role", "not resolved"])
def test_what_cannot_be_read_is_a_problem_in_the_overview(signed: World, name: str) -> None:
    with transaction(signed.repository.engine) as session:
        DAMAGE[name](session)
    with snapshot(signed.repository.engine) as session:
        document = overview(signed.repository, session, now=now())
    (problem,) = document["problems"]
    assert "cannot be read" in problem
    assert "web-search" in {item["name"] for item in document["candidates"]}


def test_a_release_that_nobody_published_neither_stops_nor_is_offered(signed: World) -> None:
    """A withdrawal arrives at clients and in the indexes, before anybody is told of the lost archive."""
    with transaction(signed.repository.engine) as session:
        _release(session)
    assert offered(signed) == {"web-search": "1.0"}
    with pytest.raises(NotFoundError, match="no blob"):
        withdraw(signed, "web-search")
    assert [entry.state for entry in entries(signed)] == ["revoked"]
    assert offered(signed) == {}
    with (
        signed.serve() as server,
        signed.client(server.url, signed.folder / "client").session(now()) as session,
    ):
        assert len(session.revocations().revocations.entries) == 1
