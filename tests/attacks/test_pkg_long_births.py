"""Births that take longer than evidence lives: they end, and what changes in the middle of one is not overlooked.

The clock is the test's: every package takes twenty minutes to install, and evidence is about fifteen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hive.birth import carry_out
from hive.birth.journal import receipts_of
from hive.birth.recorded import recorded_births
from hive.db.session import snapshot, transaction
from hive.tenants import TenantStatus, load_row
from repo_client.client import RepoClient
from repo_client.updater import Server
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    HostError,
    NotFoundError,
    RevokedError,
    RollbackError,
    SkillRepoError,
    TransportError,
    VulnerableError,
)
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import BASE, HARMLESS, OLD_AGENT, VULNERABLE, index_of, listed, waiver
from tests.support.pkg_archives import compact, member, package
from tests.support.world import World, now

BOAT = parse_tenant_id("boat")
VID = "11111111-2222-3333-4444-555555555555"
COUNT = 6


def small(number: int) -> bytes:
    path, content = f"/usr/local/share/p{number}", f"{number}".encode()
    entry = {"sum": f"1${sha256_of(content)}", "uname": "root", "gname": "wheel", "perm": "0644"}
    return package(member(path, content), manifest=compact(f"p{number}"), files={path: entry})


SET = [small(number) for number in range(COUNT)]


@dataclass
class Voyage:
    """A birth of ``boat`` that takes its time; ``then`` happens when so many packages are installed."""

    harbour: Harbour
    begun: datetime = field(default_factory=now)
    waited: timedelta = timedelta()
    installed: int = 0
    then: dict[int, Callable[[], object]] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.begun + self.waited

    def born(self) -> dict[str, Any]:
        mother = replace(self.harbour.scene.mother, clock=self.clock)
        return carry_out.birth(mother, BOAT)

    def stopped(self, *expected: type[SkillRepoError]) -> SkillRepoError:
        with pytest.raises(expected) as caught:
            self.born()
        assert self.harbour.scene.tenant("boat").status is TenantStatus.FAILED
        assert self.harbour.open_packages() == []
        return caught.value

    def admissions(self) -> list[dict[str, Any]]:
        return self.harbour.events("admission")


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        harbour.arrange(*SET)
        yield harbour


@pytest.fixture
def voyage(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> Voyage:
    voyage, genuine = Voyage(harbour), carry_out.install_package

    def slow(*args: Any, **how: Any) -> Any:
        receipt = genuine(*args, **how)
        voyage.installed += 1
        voyage.waited += timedelta(minutes=20)
        voyage.then.get(voyage.installed, lambda: None)()
        return receipt

    monkeypatch.setattr(carry_out, "install_package", slow)
    return voyage


def test_a_set_that_takes_hours_is_born(voyage: Voyage) -> None:
    """And every look of it is on record: who vouched, by which state of the lists, at which time."""
    receipt = voyage.born()
    assert receipt["status"] == "born"
    assert [item["package"] for item in receipt["packages"]] == [f"p{number}-1.0" for number in range(COUNT)]
    each = COUNT + 1  # and the skill
    admissions = voyage.admissions()
    assert len(admissions) == each * (COUNT + 1)
    assert [item.get("again", False) for item in admissions] == [False] * each + [True] * each * COUNT
    assert {item["lock_sha256"] for item in admissions} == {receipt["lock_sha256"]}
    assert voyage.harbour.open_packages() == []


def test_what_was_admitted_often_is_one_birth_to_the_auditor(voyage: Voyage) -> None:
    voyage.born()
    with snapshot(voyage.harbour.scene.mother.engine) as session:
        (boat,) = [birth for birth in recorded_births(session) if birth.begun]
    assert (len(boat.packages), boat.problem) == (COUNT, "")


def test_what_takes_long_is_asked_for_once_a_step_and_no_more(voyage: Voyage) -> None:
    voyage.born()
    assert voyage.harbour.scene.server.asked_for("/metadata/timestamp.json") == COUNT + 1


@pytest.mark.parametrize("which", [0, 4, COUNT - 1], ids=["installed before", "not yet", "the last"])
@pytest.mark.parametrize("after", [2, COUNT], ids=["in the middle", "after all"])
def test_a_revocation_that_arrives_in_the_middle_stops_it(voyage: Voyage, which: int, after: int) -> None:
    harbour = voyage.harbour

    def revoke() -> None:
        harbour.shelf.forge.revoke(sha256=sha256_of(SET[which]))
        harbour.shelf.serve()

    voyage.then[after] = revoke
    voyage.stopped(RevokedError)
    assert voyage.installed == after
    assert not harbour.root.exists()
    refused = harbour.scene.events("boat")[-1]
    assert refused.event == "birth.refused"
    evidence = refused.facts["error"]["facts"]["evidence"]
    assert (evidence["pin"], evidence["sha256"]) == (f"p{which}-1.0", sha256_of(SET[which]))
    assert (evidence["role"], evidence["signed_by"]) == ("pkg-FreeBSD_14_amd64-latest", ["builder"])
    assert len(evidence["signer_keyids"][0]) == 64


def test_a_skill_that_is_revoked_meanwhile_stops_it_too(voyage: Voyage) -> None:
    def revoke() -> None:
        voyage.harbour.shelf.forge.revoke(name="web-search")
        voyage.harbour.shelf.serve()

    voyage.then[1] = revoke
    voyage.stopped(RevokedError)
    assert not voyage.harbour.root.exists()


def test_an_advisory_that_is_published_meanwhile(voyage: Voyage) -> None:
    feed = HARMLESS.replace(b"<name>other<", b"<name>p0<").replace(b"<lt>1</lt>", b"<lt>2</lt>")
    voyage.then[3] = lambda: voyage.harbour.shelf.advise(feed)
    voyage.stopped(VulnerableError)
    assert not voyage.harbour.root.exists()


def test_a_waiver_that_ends_meanwhile(voyage: Voyage) -> None:
    harbour = voyage.harbour
    harbour.shelf.publish([BASE, OLD_AGENT], serial=3)
    harbour.shelf.advise(VULNERABLE)
    given = waiver("demo-agent-1.2.0", VID, until=timedelta(minutes=30))
    harbour.pinned("base==4", [BASE, OLD_AGENT], waivers=[given])
    error = voyage.stopped(VulnerableError)
    assert error.facts["vid"] == VID
    assert voyage.installed == 2  # forty minutes; at twenty the waiver still held
    assert not harbour.root.exists()


def test_an_index_that_is_rolled_back_meanwhile(voyage: Voyage) -> None:
    old = index_of([listed(data) for data in SET], serial=1)
    voyage.then[2] = lambda: voyage.harbour.shelf.publish_index(old)
    voyage.stopped(RollbackError)
    assert not voyage.harbour.root.exists()


def test_a_package_that_the_index_drops_meanwhile(voyage: Voyage) -> None:
    fewer = index_of([listed(data) for data in SET[1:]], serial=3)
    voyage.then[2] = lambda: voyage.harbour.shelf.publish_index(fewer)
    voyage.stopped(NotFoundError)
    assert voyage.installed == 2


def test_a_newer_index_goes_on_and_receipts_say_by_which(voyage: Voyage) -> None:
    newer = index_of([listed(data) for data in SET], serial=9)
    voyage.then[4] = lambda: voyage.harbour.shelf.publish_index(newer)
    receipt = voyage.born()
    assert [item["serial"] for item in receipt["packages"]] == [2, 2, 2, 2, 9, 9]


def test_a_profile_that_is_signed_anew_meanwhile_is_another_birth(voyage: Voyage) -> None:
    voyage.then[2] = lambda: voyage.harbour.shelf.pin("base==3", SET[:3])
    voyage.stopped(ConflictError)
    assert voyage.installed == 2
    voyage.then.clear()
    receipt = voyage.born()
    assert [item["package"] for item in receipt["packages"]] == ["p0-1.0", "p1-1.0", "p2-1.0"]


def test_a_tenant_that_is_changed_meanwhile(voyage: Voyage) -> None:
    def change() -> None:
        with transaction(voyage.harbour.scene.mother.engine) as session:
            load_row(session, BOAT).tier = "free"

    voyage.then[2] = change
    voyage.stopped(ConflictError)
    assert voyage.installed == 2


class Away:
    """A server that cannot be reached while ``gone`` is set; ``asked`` counts who tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone, self.asked = False, 0
        genuine, nowhere = RepoClient.session, Server.parse("http://127.0.0.1:9")

        def session(client: RepoClient, at: datetime) -> Any:
            self.asked += 1
            return genuine(replace(client, server=nowhere) if self.gone else client, at)

        monkeypatch.setattr(RepoClient, "session", session)


def test_a_server_that_is_away_for_a_moment_ends_nothing(
    voyage: Voyage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence of six minutes ago is due, and still good for nine."""
    away = Away(monkeypatch)

    def leave() -> None:
        voyage.waited -= timedelta(minutes=14)
        away.gone = True

    def come_back() -> None:
        voyage.waited -= timedelta(minutes=14)
        assert away.asked == 2  # before this package it was asked, in vain
        away.gone = False

    voyage.then |= {1: leave, 2: come_back}
    assert voyage.born()["status"] == "born"
    assert away.asked == 2 + (COUNT - 1)


def test_a_server_that_stays_away_ends_it_and_it_can_be_continued(
    voyage: Voyage, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(monkeypatch)
    voyage.then[2] = lambda: setattr(away, "gone", True)
    voyage.stopped(TransportError)
    assert voyage.installed == 2
    away.gone = False
    voyage.then.clear()
    assert voyage.born()["continued"] is True
    with snapshot(voyage.harbour.scene.mother.engine) as session:
        assert len(receipts_of(session, BOAT)) == COUNT


def test_a_killed_one_goes_on_with_evidence_of_its_own_time(voyage: Voyage) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    voyage.then[3] = kill
    with pytest.raises(Killed):
        voyage.born()
    assert voyage.harbour.scene.tenant("boat").status is TenantStatus.BIRTHING
    before = len(voyage.admissions())
    voyage.then.clear()
    voyage.waited += timedelta(hours=3)
    assert voyage.born()["continued"] is True
    after = voyage.admissions()[before:]
    assert not any(item.get("again") for item in after[: COUNT + 1])
    decided = [record.time for record in voyage.harbour.scene.events("boat") if record.event == "admission"][
        before:
    ]
    assert decided[0] >= (voyage.begun + timedelta(hours=4)).replace(microsecond=0)
    with snapshot(voyage.harbour.scene.mother.engine) as session:
        assert len(receipts_of(session, BOAT)) == COUNT


def test_a_killed_one_whose_package_was_revoked_meanwhile(voyage: Voyage) -> None:
    voyage.then[3] = lambda: (_ for _ in ()).throw(HostError("the power went away"))
    voyage.stopped(HostError)
    voyage.harbour.shelf.forge.revoke(sha256=sha256_of(SET[0]))
    voyage.harbour.shelf.serve()
    voyage.stopped(RevokedError)
    assert not voyage.harbour.root.exists()


def test_a_clock_that_runs_away_does_not_keep_it_looking_for_ever(voyage: Voyage) -> None:
    """Whatever is seen is old as soon as it is seen: refused, after few looks."""
    mother = voyage.harbour.scene.mother

    def runaway() -> datetime:
        voyage.waited += timedelta(minutes=16)
        return voyage.clock()

    with pytest.raises(CouldNotVerifyError):
        carry_out.birth(replace(mother, clock=runaway), BOAT)
    assert voyage.harbour.scene.server.asked_for("/metadata/timestamp.json") <= 2
    assert not voyage.harbour.root.exists()
