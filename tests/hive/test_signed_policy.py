"""A host that goes by a signed policy: what is let through the one door, and what is remembered."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hive import policy_memory
from hive.db.session import transaction
from hive.policy import POLICY
from hive.policy_loading import (
    load_host_policy,
    this_host,
)
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    HostError,
    NotFoundError,
    RollbackError,
    SkillRepoError,
    ThresholdError,
    TransportError,
    UsageError,
    WrongSubjectError,
)
from tests.attacks.scene import open_scene
from tests.support.hurry import in_a_hurry
from tests.support.signed_policy import DEMANDING, PolicyHost, PolicyPlace
from tests.support.world import World, now


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def host(world: World, tmp_path: Path) -> Iterator[PolicyHost]:
    with open_scene(world, tmp_path / "host") as scene:
        yield PolicyHost(scene, PolicyPlace(tmp_path, world.signers, {"state": str(scene.mother.state)}))


def test_what_the_operator_signed_holds_and_is_on_record(host: PolicyHost) -> None:
    host.place.sign(serial=3)
    found = host.load()
    assert found.policy.evidence_life == timedelta(minutes=9)
    assert found.signed is not None
    assert found.signed.signers == ("olga",)
    assert host.seen == (True, 3, DEMANDING)
    host.load()
    (event,) = host.events()  # looking again is no new decision
    assert event.event == "policy.accepted"
    assert (event.facts["serial"], event.facts["signed_by"]) == (3, ["olga"])
    assert (event.facts["policy_file_sha256"], event.facts["policy_sha256"]) == (
        found.file_sha256,
        found.policy.sha256,
    )


def test_a_host_that_has_seen_none_goes_by_what_it_has(host: PolicyHost) -> None:
    host.place.policy.write_text(DEMANDING)
    assert host.load(policy_signatures=None).policy.evidence_life == timedelta(minutes=9)
    assert host.load(policy=None, policy_signatures=None).policy is POLICY
    assert host.seen is None


@pytest.mark.parametrize(
    "left_out", [{"policy_signatures": None}, {"policy": None, "policy_signatures": None}]
)
def test_once_one_was_seen_unsigned_ones_are_refused(host: PolicyHost, left_out: dict[str, None]) -> None:
    host.place.sign()
    host.load()
    for text in (DEMANDING, "", "reviewers = 16\n"):
        host.place.policy.write_text(text)
        error = host.refused(CouldNotVerifyError, **left_out)
        assert "allow-unsigned" in error.hint
        with pytest.raises(CouldNotVerifyError):
            host.shown(**left_out)


def test_signatures_without_a_policy_are_a_mistake(host: PolicyHost) -> None:
    host.refused(UsageError, policy=None)


@pytest.mark.parametrize("seen", [False, True], ids=["never-seen", "seen"])
@pytest.mark.parametrize("what", ["gone", "folder", "empty", "junk", "pipe"])
def test_a_signature_that_is_not_there_is_none(host: PolicyHost, seen: bool, what: str) -> None:
    host.place.sign()
    if seen:
        host.load()
    host.place.signatures.unlink()
    match what:
        case "folder":
            host.place.signatures.mkdir()
        case "empty":
            host.place.signatures.write_bytes(b"")
        case "junk":
            host.place.signatures.write_bytes(b"[" * 5000)
        case "pipe":
            os.mkfifo(host.place.signatures)
    host.refused(FormatError if what in {"empty", "junk"} else CouldNotVerifyError)


def test_an_older_policy_is_refused_and_the_newer_one_goes_on(host: PolicyHost) -> None:
    host.place.sign("evidence_minutes = 15\n", serial=4)
    host.load()
    old = host.place.kept()
    host.place.sign(serial=5)
    host.load()
    new = host.place.kept()
    host.place.put_back(old)
    error = host.refused(RollbackError)
    assert (error.facts["serial"], error.facts["seen"]) == (4, 5)
    host.place.put_back(new)
    assert host.load().policy.evidence_life == timedelta(minutes=9)


def test_two_policies_under_one_serial_are_refused(host: PolicyHost) -> None:
    host.place.sign(serial=5)
    host.load()
    host.place.sign("evidence_minutes = 15\n", serial=5)
    assert "another policy" in host.refused(RollbackError).message
    host.place.sign(serial=5, life=timedelta(days=300))  # nor the same for longer
    host.refused(RollbackError)


def test_more_signatures_on_the_same_are_no_other_policy(host: PolicyHost) -> None:
    at = now()
    host.place.sign(at=at)
    host.load()
    host.place.sign(at=at, by=("olga", "alice"))
    host.load()
    assert len(host.events()) == 1


def test_an_altered_byte_is_refused(host: PolicyHost) -> None:
    host.place.sign()
    host.load()
    host.place.policy.write_text(DEMANDING.replace("9", "8"))
    host.refused(DigestMismatchError)
    with pytest.raises(DigestMismatchError):
        host.shown()


def test_another_hosts_policy_is_refused(host: PolicyHost) -> None:
    host.place.sign(host="somebody-else.example")
    error = host.refused(WrongSubjectError)
    assert this_host() in error.hint
    host.place.sign(host="*", serial=2)
    host.load()


def test_a_policy_that_has_ended_is_refused(host: PolicyHost) -> None:
    host.place.sign(life=timedelta(seconds=1200))
    host.load()
    host.refused(ExpiredError, at=now() + timedelta(seconds=1300))
    with pytest.raises(ExpiredError):
        host.shown(at=now() + timedelta(seconds=1300))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((), ThresholdError),
        (("mallory",), BadSignatureError),
        (("alice", "bob", "root-1"), BadSignatureError),
    ],
    ids=["nobody", "a-stranger", "everybody-else"],
)
def test_who_is_no_operator_decides_nothing(
    host: PolicyHost, by: tuple[str, ...], expected: type[SkillRepoError]
) -> None:
    host.place.sign(by=by)
    host.refused(expected)


def test_signed_nonsense_is_no_policy_and_is_not_remembered(host: PolicyHost) -> None:
    for text in (
        "reviewers = 0\n",
        "allow = true\n",
        '[sweep]\nrevoked = ["notify"]\n',
        '[notify]\ncommand = ["x"]\n',
    ):
        host.place.sign(text)
        host.refused(FormatError)
    assert host.seen is None


def test_a_repository_that_is_away_verifies_nothing(host: PolicyHost) -> None:
    host.place.sign()
    host.load()
    host.scene.server.missing.add("/metadata/timestamp.json")
    host.refused(NotFoundError)
    client = replace(
        host.scene.mother.client, server=host.scene.world.client("http://127.0.0.1:1", Path()).server
    )
    host.scene.mother = replace(host.scene.mother, client=client)
    host.refused(TransportError)


def test_a_state_that_is_older_than_this_host_knows_says_nothing_about_operators(
    host: PolicyHost, tmp_path: Path
) -> None:
    """The client's folder was lost, and the server shows how things were when a dismissed operator still signed."""
    old = host.scene.world.metadata()
    host.scene.world.refresh()
    host.scene.born()
    host.place.sign()
    host.scene.server.lies |= {f"/metadata/{name}": data for name, data in old.items()}
    client = replace(host.scene.mother.client, metadata_dir=tmp_path / "empty", store_dir=tmp_path / "store")
    host.scene.mother = replace(host.scene.mother, client=client)
    host.refused(RollbackError)


def test_another_anchor_appoints_no_operators_here(host: PolicyHost, tmp_path: Path) -> None:
    host.scene.born()
    host.place.sign()
    other = World.build(tmp_path / "other")
    client = replace(host.scene.mother.client, anchor=other.anchor)
    other.close()
    host.scene.mother = replace(host.scene.mother, client=client)
    host.refused(CouldNotVerifyError)


def test_a_clock_that_was_set_back_makes_no_end_later(host: PolicyHost) -> None:
    host.place.sign(at=now() - timedelta(days=2), life=timedelta(days=4))
    host.load()
    host.refused(CouldNotVerifyError, at=now() - timedelta(hours=1))


def test_unsigned_ones_are_allowed_on_record_and_serials_stay_seen(host: PolicyHost) -> None:
    host.place.sign(serial=4)
    old = host.place.kept()
    host.load()
    host.place.sign(serial=5)
    host.load()
    host.allow_unsigned()
    host.place.policy.write_text("")
    assert host.load(policy_signatures=None).policy.sha256 == POLICY.sha256
    assert host.events()[-1].facts == {"host": this_host(), "reason": "the operators are away", "serial": 5}
    with pytest.raises(NotFoundError):
        host.allow_unsigned()
    # Naming signatures again demands them again, and what was seen is not forgotten.
    host.refused(DigestMismatchError)
    host.place.put_back(old)
    host.refused(RollbackError)
    host.place.sign(serial=6)
    host.load()
    assert host.seen == (True, 6, DEMANDING)
    host.refused(CouldNotVerifyError, policy_signatures=None)


def test_who_only_asks_remembers_nothing(host: PolicyHost) -> None:
    host.place.sign()
    load_host_policy(
        host.place.config(),
        engine=host.scene.mother.engine,
        open_client=lambda _: host.scene.mother.client,
        now=now(),
        remembering=False,
    )
    assert host.seen is None
    with pytest.raises(CouldNotVerifyError, match="not verified here yet"):
        host.shown()
    host.load()
    assert host.shown().policy.evidence_life == timedelta(minutes=9)


def test_a_file_that_others_may_write_is_not_believed(host: PolicyHost) -> None:
    host.place.sign()
    for path in (host.place.policy, host.place.signatures):
        path.chmod(0o664)
        assert "chmod go-w" in host.refused(HostError).hint
        path.chmod(0o644)
    host.place.policy.chmod(0o666)
    host.refused(HostError, policy_signatures=None)


def test_hosts_on_one_database_have_a_serial_each_and_one_demand(
    host: PolicyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.place.sign(serial=7)
    host.load()
    monkeypatch.setattr("hive.policy_loading.this_host", lambda: "jails2.example")
    # Another host, or this one under another name, that leaves the setting out.
    assert this_host() in host.refused(CouldNotVerifyError, policy_signatures=None).message
    host.place.sign(serial=3, host="jails2.example")
    host.load()
    with transaction(host.scene.mother.engine) as session:
        policy_memory.allow_unsigned(session, "jails2.example", reason="being set up", now=now())
    host.load(policy_signatures=None)
    with transaction(host.scene.mother.engine) as session:
        policy_memory.allow_unsigned(session, "jails3.example", reason="being set up", now=now())
    monkeypatch.setattr("hive.policy_loading.this_host", lambda: "jails3.example")
    host.load(policy_signatures=None)
    monkeypatch.undo()
    host.place.sign(serial=6)
    with pytest.raises(RollbackError):
        host.load()
    with pytest.raises(CouldNotVerifyError):
        host.load(policy_signatures=None)
