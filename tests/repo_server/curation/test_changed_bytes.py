"""A version is one set of bytes: the same import again is the same candidate, other bytes are an alarm."""

from datetime import datetime, timedelta

import pytest

from repo_server.curation.candidates import Origin, observations_of, stage
from repo_server.curation.tree import SourceTree
from repo_server.db.models import CandidateRow, CandidateState
from repo_server.db.session import snapshot, transaction
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.review import Finding, Severity
from tests.support.world import World, now, skill_md

PIN = Pin.parse("notes==1.1")
HUB = "clawhub:@o/notes@1.1"


def bring(
    world: World,
    body: str,
    *,
    source: str = "clawhub",
    address: str = HUB,
    publisher: str = "@o",
    pin: Pin = PIN,
    at: datetime,
) -> tuple[str, tuple[Finding, ...]]:
    tree = SourceTree.of([("SKILL.md", skill_md("notes", body=body), False)])
    origin = Origin(
        source=source, address=address, resolved={}, publisher=publisher, licence="MIT", observations=()
    )
    with transaction(world.repository.engine) as session:
        row = stage(world.repository, session, tree, pin=pin, kind=Kind.SKILL, origin=origin, now=at)
        return row.id, observations_of(row)


def test_the_same_again_is_the_same_candidate(world: World) -> None:
    start = now()
    first, calm = bring(world, "one", at=start)
    again, still = bring(world, "one", at=start + timedelta(days=1))
    assert first == again
    assert calm == still == ()


def test_other_bytes_under_one_version_block(world: World) -> None:
    start = now()
    first, _ = bring(world, "one", at=start)
    with transaction(world.repository.engine) as session:
        session.get_one(CandidateRow, first).state = CandidateState.REVIEWED
    second, (alarm,) = bring(world, "two", at=start + timedelta(days=1))
    assert first != second
    assert (alarm.check, alarm.severity) == ("source.version-changed-bytes", Severity.BLOCK)
    assert first in alarm.message
    with snapshot(world.repository.engine) as session:
        assert session.get_one(CandidateRow, first).state == CandidateState.REVIEWED
        assert session.get_one(CandidateRow, second).state == CandidateState.STAGED


def test_the_alarm_names_the_first_and_stays_as_it_is(world: World) -> None:
    start = now()
    first, _ = bring(world, "one", at=start)
    second, alarm = bring(world, "two", at=start + timedelta(days=1))
    assert bring(world, "one", at=start + timedelta(days=2)) == (first, ())
    assert bring(world, "two", at=start + timedelta(days=3)) == (second, alarm)
    _, (third,) = bring(world, "three", at=start + timedelta(days=4))
    assert first in third.message


def test_another_address_of_the_same_publisher_is_looked_at(world: World) -> None:
    start, commit = now(), "github:o/r/notes@" + "1" * 40
    where = {"source": "github", "publisher": "github.com/o"}
    bring(world, "one", address=commit, at=start, **where)
    _, (found,) = bring(world, "two", address=commit.replace("1", "2"), at=start + timedelta(days=1), **where)
    assert (found.check, found.severity) == ("source.version-changed-bytes", Severity.LOOK)
    assert "another address" in found.message


@pytest.mark.parametrize(
    "other",
    [
        {"pin": Pin.parse("notes==1.2")},
        {"source": "lobehub"},
        {"address": "clawhub:@p/notes@1.1", "publisher": "@p"},
    ],
    ids=["version", "source", "publisher"],
)
def test_another_thing_is_no_alarm(world: World, other: dict[str, str]) -> None:
    start = now()
    bring(world, "one", at=start)
    assert bring(world, "two", at=start + timedelta(days=1), **other)[1] == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_a_curators_own_files_may_change(world: World, source: str) -> None:
    start = now()
    bring(world, "one", source=source, address=f"{source}:notes", publisher="", at=start)
    _, found = bring(
        world, "two", source=source, address=f"{source}:notes", publisher="", at=start + timedelta(days=1)
    )
    assert found == ()
