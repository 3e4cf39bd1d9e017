"""A proof goes there and back, says what it saw, and leaves nothing but records."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from hive import audit
from hive.agents.client import Endpoint
from hive.birth.carry_out import birth
from hive.db.session import snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.proof import looking, proving, scratch, unfinished
from hive.proof.evidence import SCHEMA, render
from hive.proof.ground import Ground, Wanted
from hive.proof.hearing import hearing
from hive.tenants import TenantStatus, Tier, load_row, register
from hive.vault import env_file
from hive.vault.provision import Provisioned, Standing
from signing.errors import (
    ConflictError,
    HostError,
    NotEntitledError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    TransportError,
    UsageError,
)
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.names import Pin, TenantId, parse_tenant_id
from tests.attacks.scene import Scene
from tests.hive.proof.conftest import ground_of
from tests.hive.vault.jailed import OWNER, Buckets
from tests.support.world import jail_files, now

WANTED = Wanted(profile=Pin.parse("base==1"))
PROOF1 = parse_tenant_id("proof1")
STEPS = ["earlier-proofs", "bucket", "register", "birth", "secrets", "agent", "heartbeat", "end", "audit"]


def add_tenant(scene: Scene, name: str, **other: Any) -> TenantId:
    values = {
        "tier": Tier.FREE,
        "profile": Pin.parse("base==1"),
        "collection_id": f"c-{name}",
        "scratch": True,
        "now": now(),
    }
    with transaction(scene.mother.engine) as session:
        return register(session, parse_tenant_id(name), **{**values, **other}).tenant_id


def proof_events(scene: Scene, name: str = "proof1") -> list[audit.Record]:
    return [record for record in scene.events(name) if record.event.startswith("proof.")]


def nothing_is_left(scene: Scene, name: str = "proof1") -> None:
    assert scene.tenant(name).status is TenantStatus.RETIRED
    assert jail_files(scene.mother) == {}
    assert not scene.mother.host.exists(parse_tenant_id(name))
    assert unfinished.found(scene.mother.state) == []
    assert list(scene.mother.state.rglob("sealed.json")) == []
    assert list(scene.mother.state.rglob(".env")) == []


def test_a_proof_goes_there_and_back(scene: Scene, ground: Ground) -> None:
    document = proving.prove(ground, WANTED)
    assert (document["schema"], document["verdict"], document["tenant"]) == (SCHEMA, "passed", "proof1")
    assert [step["step"] for step in document["steps"]] == STEPS
    assert all(step["held"] for step in document["steps"])
    nothing_is_left(scene)
    events = [record.event for record in scene.events("proof1")]
    assert events.index("proof.begun") == 1
    for event in ("birth.born", "secrets.provisioned", "birth.active", "secrets.withdrawn", "tenant.retired"):
        assert events.count(event) == 1
    assert proof_events(scene)[-1].facts == {
        "tenant": "proof1",
        "verdict": "passed",
        "report_sha256": sha256_of(render(document)),
    }
    assert json.loads(render(document)) == document  # canonical JSON of plain values


def test_the_evidence_holds_digests_and_names_and_no_secret(
    scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    genuine = env_file.install

    def noting(root: Any, content: bytes, **named: Any) -> bool:
        written.append(content)
        return genuine(root, content, **named)

    monkeypatch.setattr(env_file, "install", noting)
    document = proving.prove(ground, WANTED)
    secrets = next(step for step in document["steps"] if step["step"] == "secrets")["facts"]
    assert secrets["names"] == ["HIVE_TOKEN", "HIVE_URL", "SCRATCH_TEXT", "SCRATCH_TOKEN"]
    assert secrets["sha256"] == sha256_of(written[0])
    assert secrets["owner"] == f"{OWNER[0]}:{OWNER[1]}"
    values = [line.partition(b"=")[2].strip(b"'\"") for line in written[0].splitlines()]
    values = [value[-12:] for value in values if b"hive.example" not in value]
    assert len(values) == 3
    with snapshot(scene.mother.engine) as session:
        log = b"".join(record.render() for record in audit.read(session))
    for value in values:
        assert value not in render(document)
        assert value not in log


@pytest.mark.slow
def test_a_second_proof_has_a_tenant_of_its_own(scene: Scene, ground: Ground) -> None:
    assert proving.prove(ground, WANTED)["tenant"] == "proof1"
    assert proving.prove(ground, WANTED)["tenant"] == "proof2"
    nothing_is_left(scene)
    nothing_is_left(scene, "proof2")


def test_two_proofs_at_once(scene: Scene, ground: Ground) -> None:
    with unfinished.alone(scene.mother.state), pytest.raises(ConflictError):
        proving.prove(ground, WANTED)
    with pytest.raises(NotFoundError):
        scene.tenant("proof1")


# --- refuses anything not scratch --------------------------------------------------------------------


def refused(scene: Scene, ground: Ground, wanted: Wanted, expected: type[SkillRepoError]) -> SkillRepoError:
    """A proof is refused before it has made or changed anything."""
    before, events = jail_files(scene.mother), len(all_events(scene))
    with pytest.raises(expected) as caught:
        proving.prove(ground, wanted)
    assert jail_files(scene.mother) == before
    assert len(all_events(scene)) == events
    assert unfinished.found(scene.mother.state) == []
    return caught.value


def all_events(scene: Scene) -> list[audit.Record]:
    with snapshot(scene.mother.engine) as session:
        return audit.read(session)


@pytest.mark.parametrize("tier", ["paid", "free"])
def test_a_tenant_that_is_not_scratch(scene: Scene, ground: Ground, tier: str) -> None:
    real = add_tenant(scene, "real", scratch=False, tier=Tier(tier))
    error = refused(scene, ground, Wanted(tenant_id=real), NotEntitledError)
    assert "not scratch" in str(error)
    assert scene.tenant("real").status is TenantStatus.REGISTERED


@pytest.mark.parametrize("status", ["birthing", "born", "active", "failed", "quarantined", "retired"])
def test_a_scratch_tenant_that_was_used(scene: Scene, ground: Ground, status: str) -> None:
    used = add_tenant(scene, "used")
    with transaction(scene.mother.engine) as session:
        load_row(session, used).status = status
    refused(scene, ground, Wanted(tenant_id=used), ConflictError)
    assert scene.tenant("used").status == status


def test_a_scratch_tenant_whose_jail_stands(scene: Scene, ground: Ground) -> None:
    used = add_tenant(scene, "used")
    scene.mother.host.create(used, mark="theirs")
    refused(scene, ground, Wanted(tenant_id=used), ConflictError)
    assert scene.mother.host.mark_of(used) == "theirs"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"profile": Pin.parse("other==1")}, ConflictError),
        ({"collection_id": "c-other"}, ConflictError),
    ],
    ids=["profile", "bucket"],
)
def test_another_than_it_is_registered_with(
    scene: Scene, ground: Ground, wanted: dict[str, Any], expected: type[SkillRepoError]
) -> None:
    refused(scene, ground, Wanted(tenant_id=add_tenant(scene, "used"), **wanted), expected)


def test_a_scratch_tenant_without_a_bucket(scene: Scene, ground: Ground) -> None:
    refused(scene, ground, Wanted(tenant_id=add_tenant(scene, "used", collection_id=None)), ConflictError)


def test_no_profile(scene: Scene, ground: Ground) -> None:
    refused(scene, ground, Wanted(), UsageError)


def test_a_registered_scratch_tenant_is_taken_and_used_up(scene: Scene, ground: Ground) -> None:
    document = proving.prove(ground, Wanted(tenant_id=add_tenant(scene, "used")))
    assert (document["tenant"], document["tier"]) == ("used", "free")
    nothing_is_left(scene, "used")


@pytest.mark.parametrize(
    "names", [["SCRATCH_A", "API_KEY"], ["API_KEY"], []], ids=["one real", "real", "none"]
)
def test_a_bucket_that_is_not_throw_away(scene: Scene, names: list[str]) -> None:
    """The id of a customer's bucket was copied by mistake: it is read by names, and nothing of it is brought anywhere."""
    vault = Buckets(values={"c-real": dict.fromkeys(names, "planted-real")})
    ground = ground_of(scene.mother, vault=vault)
    wanted = Wanted(tenant_id=PROOF1, profile=Pin.parse("base==1"), collection_id="c-real")
    error = refused(scene, ground, wanted, NotEntitledError)
    assert "planted-real" not in json.dumps(error.to_document())
    assert scene.server.requests == []


def test_a_bucket_of_a_tenant(scene: Scene) -> None:
    add_tenant(scene, "real", scratch=False, collection_id="c-real")
    ground = ground_of(scene.mother, vault=Buckets(values={"c-real": {"SCRATCH_A": "x"}}))
    wanted = Wanted(tenant_id=PROOF1, profile=Pin.parse("base==1"), collection_id="c-real")
    refused(scene, ground, wanted, ConflictError)
    with pytest.raises(NotFoundError):
        scene.tenant("proof1")


def test_a_throw_away_bucket_of_a_real_vault(scene: Scene) -> None:
    vault = Buckets(values={"c-scratch": {"SCRATCH_A": "planted-a", "SCRATCH_B": "planted-b"}})
    ground = ground_of(scene.mother, vault=vault)
    wanted = Wanted(tenant_id=PROOF1, profile=Pin.parse("base==1"), collection_id="c-scratch")
    document = proving.prove(ground, wanted)
    assert "planted" not in json.dumps(document)
    assert set(vault.asked) == {("proof1", "c-scratch")}
    nothing_is_left(scene)
    assert vault.values  # it is the vault keeper's


def test_a_real_vault_and_no_bucket(scene: Scene) -> None:
    refused(scene, ground_of(scene.mother, vault=Buckets()), WANTED, UsageError)


def test_the_sealed_vault_and_a_bucket_of_somebody(scene: Scene, ground: Ground) -> None:
    refused(scene, ground, replace(WANTED, collection_id="c-somebody"), UsageError)


# --- what does not hold is no proof --------------------------------------------------------------------


def failed(scene: Scene, ground: Ground, step: str, expected: type[SkillRepoError]) -> SkillRepoError:
    with pytest.raises(expected) as caught:
        proving.prove(ground, WANTED)
    assert caught.value.facts["step"] == step
    assert "left" not in caught.value.facts
    nothing_is_left(scene)
    assert [record.facts.get("verdict") for record in proof_events(scene)] == [None, "failed"]
    return caught.value


def test_a_profile_that_is_not_published(scene: Scene, ground: Ground) -> None:
    with pytest.raises(SkillRepoError) as caught:
        proving.prove(ground, Wanted(profile=Pin.parse("nowhere==1")))
    assert caught.value.facts["step"] == "birth"
    nothing_is_left(scene)


def test_a_server_that_lies(scene: Scene, ground: Ground) -> None:
    scene.server.lies["/metadata/timestamp.json"] = b"{}"
    failed(scene, ground, "birth", RejectedError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.chmod(0o640), HostError),
        (lambda path: path.write_bytes(path.read_bytes() + b"MORE=1\n"), HostError),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"SCRATCH_TOKEN=", b"SCRATCH_TOKEN=x")),
            HostError,
        ),
        (lambda path: path.unlink(), HostError),
        (lambda path: path.with_name("twin").hardlink_to(path), RejectedError),
        pytest.param(
            lambda path: os.chown(path, 0, 0),
            HostError,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
        ),
    ],
    ids=["mode", "more", "another value", "gone", "second name", "owner"],
)
def test_an_environment_file_that_is_not_as_it_has_to_be(
    scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch, spoil: Any, expected: type[SkillRepoError]
) -> None:
    genuine = proving.birth

    def spoiling(*args: Any, **named: Any) -> Any:
        receipt = genuine(*args, **named)
        spoil(scene.mother.state / "jails/proof1/root" / env_file.ENV_PATH)
        return receipt

    monkeypatch.setattr(proving, "birth", spoiling)
    failed(scene, ground, "secrets", expected)


def test_a_file_that_is_written_again_each_time(
    scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Provisioned(tenant_id=PROOF1, names=(), changed=True, path="")
    genuine = type(ground.provisioner).provision

    def again(self: Any, *args: Any, **named: Any) -> Any:
        found = genuine(self, *args, **named)
        return found if found.changed else changed

    monkeypatch.setattr(type(ground.provisioner), "provision", again)
    failed(scene, ground, "secrets", HostError)


def test_a_hive_that_answers_everybody(scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "is_refused", lambda *_: False)
    assert "nobody was given" in str(failed(scene, ground, "agent", HostError))


def test_a_tenant_that_does_not_become_active_says_why(scene: Scene, ground: Ground) -> None:
    (scene.mother.state / "host-key").write_bytes(b"")
    error = failed(scene, ground, "heartbeat", SkillRepoError)
    assert "not activated" in str(error)


def test_a_service_that_is_not_there(scene: Scene) -> None:
    with hearing(ground_of(scene.mother)) as gone:
        port = gone.port
    failed(scene, ground_of(scene.mother, live=f"http://127.0.0.1:{port}"), "agent", TransportError)


@pytest.mark.slow
def test_the_running_service_can_be_asked(scene: Scene) -> None:
    with hearing(ground_of(scene.mother)) as service:
        assert service == Endpoint(host="127.0.0.1", port=service.port)
        document = proving.prove(ground_of(scene.mother, live=f"http://127.0.0.1:{service.port}"), WANTED)
    assert (
        next(step for step in document["steps"] if step["step"] == "end")["facts"]["api"]
        == "the running service"
    )


@pytest.mark.slow
def test_a_token_that_lives_on(scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "is_refused", lambda *_: False)
    assert "token" in str(failed(scene, ground, "end", HostError))


def test_a_jail_that_stays(scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called ended: it says what is left, and the next proof ends that first."""
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryHost, "destroy", lambda *_, **__: (_ for _ in ()).throw(HostError("busy")))
        with pytest.raises(HostError, match="busy") as caught:
            proving.prove(ground, WANTED)
    assert caught.value.facts["step"] == "end"
    left = caught.value.facts["left"]
    assert left[0] == "the tenant proof1, quarantined"
    assert left[1].startswith("a jail at ")
    assert left[2].startswith("what the proof noted")
    assert scene.mother.host.exists(PROOF1)
    assert ground.provisioner.standing(PROOF1) is Standing.NONE
    assert unfinished.found(scene.mother.state) == ["proof1"]
    document = proving.prove(ground, WANTED)
    assert document["tenant"] == "proof2"
    assert document["steps"][0]["facts"] == {"ended": ["proof1"]}
    nothing_is_left(scene)
    assert proof_events(scene)[-1].facts["verdict"] == "abandoned"


def test_whoever_interrupts_a_proof_leaves_nothing(
    scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "see_active", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        proving.prove(ground, WANTED)
    nothing_is_left(scene)


# --- what is not of a proof is never ended by one -----------------------------------------------------


def test_a_folder_alone_ends_no_tenant(scene: Scene, ground: Ground) -> None:
    """Somebody puts a folder with a customer's name where unfinished proofs are noted."""
    scene.born()
    (scene.mother.state / "proofs/acme").mkdir(parents=True)
    assert scratch.end_unfinished(ground) == ["acme"]
    assert scene.tenant().status is TenantStatus.BORN
    assert birth(scene.mother, parse_tenant_id("acme"))["already"]


def test_a_tenant_that_is_scratch_no_more_is_left_alone(
    scene: Scene, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unfinished.alone(scene.mother.state):
        unfinished.begin(scene.mother.state, PROOF1)
    scratch.begin(ground, PROOF1, WANTED, "c-proof1")
    with transaction(scene.mother.engine) as session:
        load_row(session, PROOF1).scratch = False
    with pytest.raises(NotEntitledError):
        proving.prove(ground, WANTED)
    assert scene.tenant("proof1").status is TenantStatus.REGISTERED


@pytest.mark.slow
def test_the_same_evidence_is_the_same_bytes(ground: Ground) -> None:
    document = proving.prove(ground, WANTED)
    assert render(document) == canonical(dict(reversed(document.items())))
