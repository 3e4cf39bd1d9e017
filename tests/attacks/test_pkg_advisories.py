"""The list of known vulnerabilities: cut off, emptied, signed by the wrong people, replayed."""

import re
from pathlib import Path

import pytest
from tuf.api.metadata import Targets

from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.advisories import (
    accept_advisories,
    plan_advisories,
    published_advisories,
    sign_advisories,
    take_advisories,
)
from repo_server.publishing.alone import next_metadata, published_alone
from signing.errors import (
    ConflictError,
    FormatError,
    NotFoundError,
    RollbackError,
    SkillRepoError,
    ThresholdError,
)
from signing.format.digest import sha256_of
from signing.format.pkg.names import ADVISORIES_PATH
from signing.metadata import build_target, render
from signing.roles import ADVISORIES
from tests.support.world import PACKAGES, World, now

FEED = (Path(__file__).parents[1] / "data/pkg/audit/vuln.xml").read_bytes()


def feed(count: int) -> bytes:
    entries = (
        f'<vuln vid="{number:08x}-0000-4000-8000-000000000000"><topic>t</topic><affects><package>'
        f"<name>p{number}</name><range><lt>1</lt></range></package></affects></vuln>"
        for number in range(count)
    )
    return f'<vuxml xmlns="http://www.vuxml.org/apps/vuxml-1">{"".join(entries)}</vuxml>'.encode()


def publish(world: World, data: bytes, *, by: str = "alice") -> None:
    with snapshot(world.repository.engine) as session:
        metadata = sign_advisories(world.repository, session, data, world.signers[by], now=now())
    take_advisories(world.repository, metadata, data, world.signers["online"], now=now())


def entries(world: World) -> int | None:
    with snapshot(world.repository.engine) as session:
        found = published_advisories(world.repository, session)
    return len(found.entries) if found is not None else None


def test_one_curator_publishes_the_list(world: World) -> None:
    assert entries(world) is None
    publish(world, FEED)
    assert entries(world) == 1  # the cancelled one does not count
    assert (world.repository.pkg_root / "vuln.xml").read_bytes() == FEED
    with snapshot(world.repository.engine) as session:
        last = log.read(session)[-1]
    assert (last.event, last.facts["signed_by"]) == ("advisories.published", ["alice"])
    assert last.facts["sha256"] == sha256_of(FEED)


@pytest.mark.parametrize("who", ["olga", "builder", "mallory", "online", "root-1"])
def test_somebody_else_signs(world: World, who: str) -> None:
    publish(world, feed(10))
    before = world.metadata()
    with pytest.raises(ThresholdError):
        publish(world, feed(11), by=who)
    assert (entries(world), world.metadata()) == (10, before)


@pytest.mark.parametrize(
    ("before", "after", "fine"),
    [(100, 98, True), (100, 97, False), (10, 9, False), (1, 1, True), (100, 200, True), (49, 48, False)],
)
def test_a_list_that_lost_advisories(world: World, before: int, after: int, fine: bool) -> None:
    publish(world, feed(before))
    with snapshot(world.repository.engine) as session:
        if not fine:
            with pytest.raises(
                RollbackError, match=f"{before - after} of {before} advisories are gone"
            ) as caught:
                plan_advisories(world.repository, session, feed(after))
            assert "--allow-lost" in caught.value.hint
        change = plan_advisories(world.repository, session, feed(after), allow_lost=not fine)
    assert (change.total, len(change.lost), len(change.added)) == (
        after,
        max(0, before - after),
        max(0, after - before),
    )
    assert entries(world) == before  # a plan publishes nothing


def test_an_advisory_that_was_cancelled_is_lost_too(world: World) -> None:
    publish(world, feed(10))
    emptied = re.sub(rb"(<vuln vid=\"0000000[0-4][^>]*>).*?(</vuln>)", rb"\1<cancelled/>\2", feed(10))
    with snapshot(world.repository.engine) as session, pytest.raises(RollbackError, match="5 of 10"):
        plan_advisories(world.repository, session, emptied)


@pytest.mark.parametrize(
    "data",
    [b"", b"<vuxml/>", b"<html/>", feed(3)[:-20], b'<!DOCTYPE v [<!ENTITY a "b">]>' + feed(1)],
    ids=["empty", "no-advisory", "another-document", "cut-off", "entity"],
)
def test_what_is_no_list_is_neither_planned_nor_published(world: World, data: bytes) -> None:
    publish(world, feed(5))
    before = world.metadata()
    with snapshot(world.repository.engine) as session, pytest.raises(FormatError):
        plan_advisories(world.repository, session, data, allow_lost=True)
    with pytest.raises(FormatError):
        publish(world, data)
    assert (entries(world), world.metadata()) == (5, before)


def test_an_old_list_is_not_published_again(world: World) -> None:
    publish(world, feed(5))
    old = (world.public / "metadata/1.advisories.json").read_bytes()
    publish(world, feed(6))
    with pytest.raises(ConflictError, match="does not follow"):
        take_advisories(world.repository, old, feed(5), world.signers["online"], now=now())
    assert entries(world) == 6


def test_a_list_whose_bytes_are_others(world: World) -> None:
    publish(world, feed(5))
    before = world.metadata()
    with snapshot(world.repository.engine) as session:
        known = published_alone(world.repository, session, ADVISORIES)
    for data, lie, error in ((feed(7), 0, NotFoundError), (feed(6), 1, ConflictError)):
        metadata = next_metadata(known, ADVISORIES, build_target(ADVISORIES_PATH, data), now=now())
        next(iter(metadata.signed.targets.values())).length += lie
        metadata.sign(world.signers["bob"])
        with pytest.raises(error):  # what is sent beside it is another list
            take_advisories(world.repository, render(metadata), feed(6), world.signers["online"], now=now())
    assert (entries(world), world.metadata()) == (5, before)


def test_a_builder_s_index_is_no_list(world: World) -> None:
    """Metadata of one role is not metadata of another, whoever signed it."""
    target = build_target(PACKAGES.index_path, feed(3))
    metadata = next_metadata(None, PACKAGES.role, target, now=now())
    metadata.sign(world.signers["alice"])
    with pytest.raises(SkillRepoError) as caught, transaction(world.repository.engine) as session:
        accept_advisories(world.repository, session, render(metadata), world.signers["online"], now=now())
    assert caught.value.code == "wrong-subject"
    assert entries(world) is None


def test_a_list_that_was_exchanged_in_the_store_is_not_read(world: World) -> None:
    publish(world, feed(5))
    with snapshot(world.repository.engine) as session:
        known = published_alone(world.repository, session, ADVISORIES)
    assert isinstance(known, Targets)
    blob = Path(world.repository.package_blobs.path_of(known.targets[ADVISORIES_PATH].hashes["sha256"]))
    blob.chmod(0o600)
    blob.write_bytes(feed(1))
    with pytest.raises(SkillRepoError, match="damaged"):
        entries(world)
