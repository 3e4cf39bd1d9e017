"""A host that goes by a signed policy: what is let through the one door, what is remembered, what a sweep goes by."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hive import audit, policy_memory
from hive.activation import NotActivatedError, ProvenActivation
from hive.db.session import snapshot, transaction
from hive.policy import POLICY
from hive.policy_file import HostPolicy
from hive.policy_loading import (
    load_for_sweep,
    load_host_policy,
    load_remembered,
    remembered_policy,
    this_host,
)
from hive.sweep.findings import Found
from hive.tenants import TenantStatus
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    HostError,
    NotFoundError,
    RejectedError,
    RollbackError,
    SkillRepoError,
    ThresholdError,
    TransportError,
    UsageError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.signed_policy import DEMANDING, PolicyPlace
from tests.support.world import World, now


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


class Host:
    """A jail host with its database, its repository, and the two files."""

    def __init__(self, scene: Scene, place: PolicyPlace) -> None:
        self.scene, self.place = scene, place

    def load(self, *, at: datetime | None = None, **settings: Any) -> HostPolicy:
        return load_host_policy(
            self.place.config(**settings),
            engine=self.scene.mother.engine,
            open_client=lambda _: self.scene.mother.client,
            now=at or now(),
        )

    def sweep(
        self, *, at: datetime | None = None, **settings: Any
    ) -> tuple[HostPolicy, SkillRepoError | None]:
        return load_for_sweep(
            self.place.config(**settings),
            engine=self.scene.mother.engine,
            open_client=lambda _: self.scene.mother.client,
            now=at or now(),
        )

    def shown(self, *, at: datetime | None = None, **settings: Any) -> HostPolicy:
        return load_remembered(
            self.place.config(**settings), engine=self.scene.mother.engine, now=at or now()
        )

    @property
    def kept(self) -> Path:
        """Where the state folder has the policy that was verified last."""
        return self.scene.mother.state / "policy.verified"

    @property
    def seen(self) -> tuple[bool, int, str] | None:
        """What this host remembers: whether a signature is demanded, the serial, and the policy."""
        with snapshot(self.scene.mother.engine) as session:
            row = policy_memory.load(session, this_host())
        if row is None:
            assert not self.kept.exists()
            return None
        assert row.file_sha256 == sha256_of(self.kept.read_bytes())
        return row.demanded, row.serial, self.kept.read_text()

    def events(self) -> list[audit.Record]:
        with snapshot(self.scene.mother.engine) as session:
            audit.check(session)
            return [record for record in audit.read(session) if record.event.startswith("policy.")]

    def allow_unsigned(self) -> None:
        with transaction(self.scene.mother.engine) as session:
            policy_memory.allow_unsigned(session, this_host(), reason="the operators are away", now=now())

    def refused(
        self, expected: type[SkillRepoError], *, at: datetime | None = None, **settings: Any
    ) -> SkillRepoError:
        """Nothing is loaded and nothing remembered; what was refused stands in the log, once."""
        before, events = self.seen, self.events()
        with pytest.raises(expected) as caught:
            self.load(at=at, **settings)
        assert self.seen == before
        more = [record for record in self.events() if record not in events]
        rejected = isinstance(caught.value, RejectedError)
        assert [record.event for record in more] == (["policy.refused"] if rejected else [])
        assert not rejected or more[0].facts["error"]["code"] == caught.value.code
        assert caught.value.hint or isinstance(caught.value, FormatError)
        return caught.value


@pytest.fixture
def host(world: World, tmp_path: Path) -> Iterator[Host]:
    with open_scene(world, tmp_path / "host") as scene:
        yield Host(scene, PolicyPlace(tmp_path, world.signers, {"state": str(scene.mother.state)}))


def test_what_the_operator_signed_holds_and_is_on_record(host: Host) -> None:
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


def test_a_host_that_has_seen_none_goes_by_what_it_has(host: Host) -> None:
    host.place.policy.write_text(DEMANDING)
    assert host.load(policy_signatures=None).policy.evidence_life == timedelta(minutes=9)
    assert host.load(policy=None, policy_signatures=None).policy is POLICY
    assert host.seen is None


@pytest.mark.parametrize(
    "left_out", [{"policy_signatures": None}, {"policy": None, "policy_signatures": None}]
)
def test_once_one_was_seen_unsigned_ones_are_refused(host: Host, left_out: dict[str, None]) -> None:
    host.place.sign()
    host.load()
    for text in (DEMANDING, "", "reviewers = 16\n"):
        host.place.policy.write_text(text)
        error = host.refused(CouldNotVerifyError, **left_out)
        assert "allow-unsigned" in error.hint
        with pytest.raises(CouldNotVerifyError):
            host.shown(**left_out)


def test_signatures_without_a_policy_are_a_mistake(host: Host) -> None:
    host.refused(UsageError, policy=None)


@pytest.mark.parametrize("seen", [False, True], ids=["never-seen", "seen"])
@pytest.mark.parametrize("what", ["gone", "folder", "empty", "junk", "pipe"])
def test_a_signature_that_is_not_there_is_none(host: Host, seen: bool, what: str) -> None:
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


def test_an_older_policy_is_refused_and_the_newer_one_goes_on(host: Host) -> None:
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


def test_two_policies_under_one_serial_are_refused(host: Host) -> None:
    host.place.sign(serial=5)
    host.load()
    host.place.sign("evidence_minutes = 15\n", serial=5)
    assert "another policy" in host.refused(RollbackError).message
    host.place.sign(serial=5, life=timedelta(days=300))  # nor the same for longer
    host.refused(RollbackError)


def test_more_signatures_on_the_same_are_no_other_policy(host: Host) -> None:
    at = now()
    host.place.sign(at=at)
    host.load()
    host.place.sign(at=at, by=("olga", "alice"))
    host.load()
    assert len(host.events()) == 1


def test_an_altered_byte_is_refused(host: Host) -> None:
    host.place.sign()
    host.load()
    host.place.policy.write_text(DEMANDING.replace("9", "8"))
    host.refused(DigestMismatchError)
    with pytest.raises(DigestMismatchError):
        host.shown()


def test_another_hosts_policy_is_refused(host: Host) -> None:
    host.place.sign(host="somebody-else.example")
    error = host.refused(WrongSubjectError)
    assert this_host() in error.hint
    host.place.sign(host="*", serial=2)
    host.load()


def test_a_policy_that_has_ended_is_refused(host: Host) -> None:
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
    host: Host, by: tuple[str, ...], expected: type[SkillRepoError]
) -> None:
    host.place.sign(by=by)
    host.refused(expected)


def test_signed_nonsense_is_no_policy_and_is_not_remembered(host: Host) -> None:
    for text in (
        "reviewers = 0\n",
        "allow = true\n",
        '[sweep]\nrevoked = ["notify"]\n',
        '[notify]\ncommand = ["x"]\n',
    ):
        host.place.sign(text)
        host.refused(FormatError)
    assert host.seen is None


def test_a_repository_that_is_away_verifies_nothing(host: Host) -> None:
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
    host: Host, tmp_path: Path
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


def test_another_anchor_appoints_no_operators_here(host: Host, tmp_path: Path) -> None:
    host.scene.born()
    host.place.sign()
    other = World.build(tmp_path / "other")
    client = replace(host.scene.mother.client, anchor=other.anchor)
    other.close()
    host.scene.mother = replace(host.scene.mother, client=client)
    host.refused(CouldNotVerifyError)


def test_a_clock_that_was_set_back_makes_no_end_later(host: Host) -> None:
    host.place.sign(at=now() - timedelta(days=2), life=timedelta(days=4))
    host.load()
    host.refused(CouldNotVerifyError, at=now() - timedelta(hours=1))


def test_unsigned_ones_are_allowed_on_record_and_serials_stay_seen(host: Host) -> None:
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


@pytest.mark.parametrize("trouble", ["altered", "gone", "ended", "away", "setting-gone", "older"])
def test_a_sweep_goes_by_what_was_verified_last(host: Host, trouble: str) -> None:
    """Whoever can spoil a file or cut a line must not be able to blind the sweeps, or to choose what they run."""
    text = '[sweep]\ndrift = ["unroutable", "stop-jail"]\n[notify]\ncommand = ["/usr/bin/tell"]\n'
    host.place.sign(serial=1)
    old = host.place.kept()
    host.place.sign(text, serial=2)
    found, problem = host.sweep()
    assert problem is None
    assert found.signed is not None
    at, settings = now(), {}
    match trouble:
        case "altered":
            host.place.policy.write_text('[notify]\ncommand = ["/tmp/evil"]\n')
        case "gone":
            host.place.signatures.unlink()
        case "ended":
            at = now() + timedelta(days=1)
        case "away":
            host.scene.server.missing.add("/metadata/timestamp.json")
        case "setting-gone":
            settings = {"policy_signatures": None}
        case "older":
            host.place.put_back(old)
    again, problem = host.sweep(at=at, **settings)
    assert problem is not None
    assert again.notifier.command == ("/usr/bin/tell",)
    assert again.actions == found.actions
    assert {action.value for action in again.actions[Found.DRIFT]} == {"unroutable", "stop-jail"}
    host.refused(type(problem), at=at, **settings)


@pytest.mark.parametrize("how", ["file", "database", "gone", "link", "both"])
def test_a_sweep_goes_by_nothing_else(host: Host, how: str, tmp_path: Path) -> None:
    """The policy names a command: neither a database nor a file alone may choose it."""
    evil = b'[notify]\ncommand = ["/tmp/evil"]\n'
    host.place.sign()
    host.load()
    host.place.signatures.unlink()
    if how in {"database", "both"}:
        with transaction(host.scene.mother.engine) as session:
            row = policy_memory.load(session, this_host())
            assert row is not None
            row.serial, row.file_sha256 = 99, sha256_of(evil)
    if how == "file":
        host.kept.write_bytes(evil)
    elif how != "database":
        host.kept.unlink()
        if how != "gone":
            (tmp_path / "evil").write_bytes(evil)
            host.kept.symlink_to(tmp_path / "evil")
    before = host.events()
    with pytest.raises(CouldNotVerifyError):
        host.sweep()
    assert host.events() == before  # every few minutes the same would fill the log


def test_what_is_kept_for_sweeps_is_private_and_follows(host: Host) -> None:
    host.place.sign()
    host.load()
    assert host.kept.stat().st_mode & 0o777 == 0o600
    host.kept.unlink()  # as a crash between the database and the file leaves it
    host.load()
    assert host.kept.read_text() == DEMANDING


def test_a_sweep_that_never_had_one_has_nothing_to_go_by(host: Host) -> None:
    host.place.sign(by=("mallory",))
    with pytest.raises(BadSignatureError):
        host.sweep()
    host.place.policy.write_text("reviewers = 0")
    with pytest.raises(FormatError):
        host.sweep(policy_signatures=None)


def test_who_only_asks_remembers_nothing(host: Host) -> None:
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


def test_a_file_that_others_may_write_is_not_believed(host: Host) -> None:
    host.place.sign()
    for path in (host.place.policy, host.place.signatures):
        path.chmod(0o664)
        assert "chmod go-w" in host.refused(HostError).hint
        path.chmod(0o644)
    host.place.policy.chmod(0o666)
    host.refused(HostError, policy_signatures=None)


def test_hosts_on_one_database_have_a_serial_each_and_one_demand(
    host: Host, monkeypatch: pytest.MonkeyPatch
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


@pytest.mark.parametrize("trouble", ["altered", "ended", "setting-gone", "newer-and-unseen"])
def test_what_is_not_born_by_is_not_activated_by(host: Host, trouble: str) -> None:
    host.place.sign()
    host.load()
    host.scene.born()
    at, settings = now(), {}
    match trouble:
        case "altered":
            host.place.policy.write_text("")
        case "ended":
            at += timedelta(days=1)
        case "setting-gone":
            settings = {"policy_signatures": None}
        case "newer-and-unseen":
            host.place.sign("evidence_minutes = 8\n", serial=2)

    def activate(at: datetime, **settings: Any) -> None:
        policy = partial(remembered_policy, host.place.config(**settings))
        activator = ProvenActivation(
            gates=host.scene.mother.gates, state=host.scene.mother.state, policy=policy
        )
        with transaction(host.scene.mother.engine) as session:
            activator.activate(session, parse_tenant_id("acme"), now=at)

    with pytest.raises(NotActivatedError) as caught:
        activate(at, **settings)
    assert "policy" not in str(caught.value)  # the agent learns nothing of this host
    assert "policy" in caught.value.reason
    assert host.scene.tenant().status is TenantStatus.BORN
    host.place.sign(serial=3)
    host.load()
    activate(now())
    assert host.scene.tenant().status is TenantStatus.ACTIVE
