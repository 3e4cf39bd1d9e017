"""Packages that come back older than they were: after a serial without them, as earlier bytes, as a false rollback."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.pkgrepo.collecting import collect
from repo_server.pkgrepo.submitting import Outcome
from signing.errors import (
    FormatError,
    NotFoundError,
    PolicyError,
    RollbackError,
    WrongSubjectError,
)
from signing.format.pkg.index import Intent, IntentKind, RepoIndex
from signing.format.pkg.names import PackageName, PackagePin, PackageVersion
from tests.support.handing_in import hand_in, ready, refused, state_of
from tests.support.publishing import later, make_build, publish
from tests.support.world import World

OLD, NEW = {"base": "2.0", "demo": "1.0"}, {"base": "2.0", "demo": "1.1"}
WITHOUT = {"base": "2.0"}
GONE = (PackagePin(PackageName("demo"), PackageVersion("1.1")),)


def build(world: World, folder: Path, packages: Mapping[str, str], **how: Any) -> Outcome:
    return publish(world, make_build(folder, packages, mark=how.pop("mark", "")), **how)


@pytest.fixture
def vanished(world: World, tmp_path: Path) -> RepoIndex:
    """demo 1.1 was published, and the serial after it holds no demo: its port did not build that night."""
    build(world, tmp_path / "new", NEW)
    return build(world, tmp_path / "without", WITHOUT).index


def test_a_package_that_vanished_for_one_serial_comes_back_older(
    world: World, vanished: RepoIndex, tmp_path: Path
) -> None:
    assert vanished.gone == GONE
    before = state_of(world)
    with pytest.raises(PolicyError, match=r"demo-1\.1 -> 1\.0: is older than what was published"):
        build(world, tmp_path / "old", OLD)
    assert state_of(world) == before
    meant = ready(world, tmp_path / "old", OLD, downgrade="1.1 loses data")
    refused(world, RollbackError, r"1 package.s. go back: demo-1\.1 -> 1\.0", replace(meant, intent=None))
    hand_in(world, meant)
    with snapshot(world.repository.engine) as session:
        facts = log.read(session)[-1].facts
    assert (facts["went_back"], facts["first_back"]) == (1, ["demo-1.1 -> 1.0"])
    assert facts["intent"]["reason"] == "1.1 loses data"


def test_time_gc_and_many_serials_do_not_make_it_forgotten(
    world: World, vanished: RepoIndex, tmp_path: Path
) -> None:
    at = vanished.created
    for number in range(3):
        at += timedelta(days=20)
        world.refresh(at=at)
        last = build(world, tmp_path / f"later-{number}", {"base": f"2.{number + 1}"}, at=at).index
        assert last.gone == GONE
    assert collect(world.repository, retain=timedelta(days=1), at_least=1, now=at + timedelta(days=2)).serials
    assert not [package for package in last.kept if package.name == "demo"]
    with pytest.raises(PolicyError, match=r"demo-1\.1 -> 1\.0"):
        build(world, tmp_path / "old", {"base": "2.3", "demo": "1.0"}, at=at + timedelta(minutes=1))
    newer = build(world, tmp_path / "newer", {"base": "2.3", "demo": "1.2"}, at=at + timedelta(minutes=1))
    assert newer.index.gone == ()


@pytest.mark.parametrize(
    "gone",
    [
        (),
        (PackagePin(PackageName("demo"), PackageVersion("0.1")),),
        (*GONE, PackagePin(PackageName("other"), PackageVersion("9"))),
    ],
    ids=["left-out", "older", "invented"],
)
def test_an_index_that_forgets_what_is_gone(
    world: World, tmp_path: Path, gone: tuple[PackagePin, ...]
) -> None:
    """The builder's key signs two serials: the first forgets demo, and the second has it back, older."""
    build(world, tmp_path / "new", NEW)
    honest = ready(world, tmp_path / "without", WITHOUT)
    assert honest.gone == GONE
    refused(world, WrongSubjectError, "does not say what is gone", replace(honest, gone=gone))


def test_an_index_that_says_of_something_listed_that_it_is_gone(world: World, tmp_path: Path) -> None:
    index = build(world, tmp_path / "new", NEW).index
    with pytest.raises(FormatError, match=r"index\.gone"):
        replace(index, gone=GONE)
    empty = index.render().replace(b'"intent":null', b'"gone":[],"intent":null')
    with pytest.raises(FormatError):
        RepoIndex.parse(empty)


def test_an_old_tree_whose_packages_were_built_again_under_the_same_version(
    world: World, tmp_path: Path
) -> None:
    """A library was mended and its dependents built again, under the same versions: the old tree has nothing older."""
    build(world, tmp_path / "old", NEW, mark="with the hole")
    build(world, tmp_path / "mended", NEW, mark="mended")
    before = state_of(world)
    with pytest.raises(PolicyError, match=r"base-2\.0 -> its earlier bytes"):
        build(world, tmp_path / "old", NEW, mark="with the hole")
    assert state_of(world) == before
    meant = ready(world, tmp_path / "old", NEW, mark="with the hole", downgrade="the mend broke it")
    refused(world, RollbackError, "2 package.s. go back", replace(meant, intent=None))
    hand_in(world, meant)
    # What was meant to go back is not stuck there.
    forward = build(world, tmp_path / "mended", NEW, mark="mended", at=later(minutes=5))
    assert (forward.state, forward.index.intent) == ("published", None)


def test_a_rollback_that_brings_back_something_else(world: World, tmp_path: Path) -> None:
    """The word "rollback" is no leave to list anything: it is looked at, also how old what it names is."""
    build(world, tmp_path / "one", {"base": "2.0", "demo": "1.0"})
    build(world, tmp_path / "two", NEW)
    other = ready(world, tmp_path / "other", {"base": "1.0", "demo": "0.1"}, downgrade="why not")

    def claims(serial: int) -> RepoIndex:
        return replace(
            other, intent=Intent(kind=IntentKind.ROLLBACK, by="builder", reason="as said", serial=serial)
        )

    refused(world, WrongSubjectError, "says that it brings back serial 1", claims(1))
    refused(world, NotFoundError, "no serial 7", claims(7))


@pytest.mark.parametrize("lacking", ["everything", "what is needed"])
def test_an_index_that_is_empty_or_not_closed(world: World, tmp_path: Path, lacking: str) -> None:
    build(world, tmp_path / "new", NEW)
    index = ready(world, tmp_path / "next", {"base": "2.0", "demo": "1.2"})
    if lacking == "everything":
        names = (
            PackagePin(PackageName("base"), PackageVersion("2.0")),
            PackagePin(PackageName("demo"), PackageVersion("1.1")),
        )
        refused(world, NotFoundError, "lists no package", replace(index, packages=(), gone=names))
        return
    base, demo = index.packages
    needy = replace(demo, deps=(PackagePin(PackageName("nowhere"), PackageVersion("1")),))
    refused(world, NotFoundError, "demo-1.2 needs nowhere", replace(index, packages=(base, needy)))


def test_a_lying_clock_does_not_reopen_the_past(world: World, vanished: RepoIndex, tmp_path: Path) -> None:
    """Dated before the serial without it, the older package would look like a build that was merely late."""
    meant = ready(world, tmp_path / "old", OLD, downgrade="meant")
    early = replace(meant, intent=None, created=vanished.created - timedelta(days=1))
    refused(world, RollbackError, "was made at", early)
