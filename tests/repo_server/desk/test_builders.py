"""Builders are appointed from elsewhere; and once one was replaced, everything else goes on from elsewhere too."""

from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Targets

from repo_server.db import log
from repo_server.db.models import MetadataRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.client import Upload
from repo_server.desk.wire import signatures_to_json
from repo_server.pkgrepo.indexes import published_index
from repo_server.pkgrepo.submitting import renew
from repo_server.publishing.builders import builder_of, give_builder, plan_builder, subject_of
from repo_server.publishing.handed_in import GivenSignature, signed_sha256
from repo_server.publishing.online import sign_state
from repo_server.publishing.origins import published_packages
from repo_server.publishing.proposals import open_proposals
from repo_server.publishing.withdrawals import draft_withdrawal, give_list, keep_list
from repo_server.tokens import Scope as TokenScope
from signing.errors import (
    BadSignatureError,
    ConflictError,
    NotEntitledError,
    NotFoundError,
    RejectedError,
    RollbackError,
    ThresholdError,
    WrongSubjectError,
)
from signing.format.canonical import canonical, parse_json
from signing.format.digest import sha256_of
from signing.format.names import HolderName, Pin
from signing.format.pkg.names import PackageRepo, parse_package_name
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawn
from signing.keys import HeldKey
from signing.keystore import PUBLIC_SUFFIX
from signing.metadata import parse, render
from signing.roles import TARGETS
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import keys_of, make_build, publish, remote_desk
from tests.support.world import PACKAGES, World, now

OTHER = PackageRepo.parse("FreeBSD:15:aarch64/quarterly")


def key_of(world: World, name: str) -> HeldKey:
    if name == "carol":  # who has no part in this repository yet
        return HeldKey(holder=HolderName(name), public=sha256_of(b"carol's key"))
    return HeldKey.parse((world.folder / f"people/{name}{PUBLIC_SUFFIX}").read_bytes())


def sign(scene: Scene, by: str, name: str, *, repo: PackageRepo = OTHER) -> Any:
    """As `skillrepo pkg builder` does it."""
    desk, key, signer = scene.desk(by), key_of(scene.world, name), scene.world.signers[by]
    desk.propose_builder(repo, key)
    with transaction(desk.repository.engine) as session:
        plan_builder(desk.repository, session, repo, key, now=now())
        standing = give_builder(desk.repository, session, repo, key, signer, now=now())
    desk.hand_in_signatures(subject_of(repo), keyid=signer.public_key.keyid)
    return standing


def appoint(scene: Scene, name: str, *, repo: PackageRepo = OTHER) -> dict[str, Any]:
    for by in ("alice", "bob"):
        sign(scene, by, name, repo=repo)
    return scene.desk("bob").publish(now=now())


def proposed(world: World) -> list[bytes]:
    with snapshot(world.repository.engine) as session:
        return [row.content for row in open_proposals(session)]


def appointed(world: World, repo: PackageRepo) -> str | None:
    with snapshot(world.repository.engine) as session:
        key = builder_of(world.repository, session, repo)
    return key.keyid if key is not None else None


def post(scene: Scene, path: str, document: object, *, token: str | None = None) -> None:
    upload = Upload(content=canonical(document), media_type="application/json")
    scene.client("alice", token=token).ask("POST", path, upload=upload)


def test_two_curators_appoint_a_builder_and_it_publishes(scene: Scene, tmp_path: Path) -> None:
    world = scene.world
    assert sign(scene, "alice", "mallory").missing == ("bob",)
    with pytest.raises(ThresholdError):
        scene.desk("alice").publish(now=now())
    assert appointed(world, OTHER) is None
    assert sign(scene, "bob", "mallory").complete
    assert scene.desk("bob").publish(now=now())["builders"] == [str(OTHER)]
    assert appointed(world, OTHER) == key_of(world, "mallory").keyid
    desk = remote_desk(
        scene, tmp_path, token=scene.token("mallory", scope=TokenScope.parse(f"publish-pkg:{OTHER}"))
    )
    build = make_build(tmp_path / "build", {"demo": "1.0"}, abi="FreeBSD:15:*")
    done = publish(world, build, desk=desk, keys=keys_of(world, builder="mallory"), repo=OTHER)
    assert (done.index.serial, done.pkg_site_checked) == (1, True)
    with snapshot(world.repository.engine) as session:
        facts = [record.facts for record in log.read(session) if record.event == "builder.signed"]
    assert [(item["repository"], item["builder"], item["keyid"], item["by"]) for item in facts] == [
        (str(OTHER), "mallory", key_of(world, "mallory").keyid, by) for by in ("alice", "bob")
    ]


def test_what_is_proposed_is_given_up_from_elsewhere(scene: Scene) -> None:
    sign(scene, "alice", "mallory")
    with pytest.raises(WrongSubjectError, match="another key is proposed"):
        scene.desk("bob").propose_builder(OTHER, key_of(scene.world, "carol"))
    scene.desk("bob").drop_builder(OTHER)
    assert proposed(scene.world) == []
    assert not sign(scene, "bob", "carol").complete  # alice's signature is gone with what she signed
    with snapshot(scene.world.repository.engine) as session:
        events = [record.event for record in log.read(session) if not record.event.startswith("token.")]
    assert events[-2:] == ["desk.builder-dropped", "builder.signed"]


# --- a thief, and a lying server -----------------------------------------------------------------


def test_a_token_appoints_nobody(scene: Scene) -> None:
    """Whoever stole it can propose; nothing of that is signed by a curator who brings another key."""
    world = scene.world
    scene.desk("mallory").propose_builder(PACKAGES, key_of(world, "mallory"))
    with pytest.raises(ThresholdError):
        scene.desk("mallory").publish(now=now())
    with pytest.raises(WrongSubjectError, match="another key is proposed"):
        sign(scene, "alice", "carol", repo=PACKAGES)
    with pytest.raises(NotEntitledError):
        sign(scene, "mallory", "mallory", repo=PACKAGES)
    (content,) = proposed(world)
    assert parse(content, Targets, where=TARGETS).signatures == {}
    assert appointed(world, PACKAGES) == key_of(world, "builder").keyid


@pytest.mark.parametrize("scope", [f"publish-pkg:{PACKAGES}", f"publish-pkg:{OTHER}", f"pull-pkg:{PACKAGES}"])
def test_a_builders_token_is_not_good_for_it(scene: Scene, scope: str) -> None:
    token = scene.token("builder", scope=TokenScope.parse(scope))
    key = parse_json(key_of(scene.world, "mallory").render())
    with pytest.raises(NotEntitledError):
        post(scene, "/builders", {"repository": str(PACKAGES), "key": key}, token=token)
    with pytest.raises(NotEntitledError):
        scene.client(token=token).ask("DELETE", f"/builders/{PACKAGES}")
    assert proposed(scene.world) == []


def test_signatures_that_nobody_gave(scene: Scene) -> None:
    world = scene.world
    scene.desk("alice").propose_builder(OTHER, key_of(world, "mallory"))
    with snapshot(world.repository.engine) as session:
        (row,) = open_proposals(session)
        digest, signed = signed_sha256(row), parse(row.content, Targets, where=TARGETS).signed_bytes
    mine = world.signers["mallory"].sign(signed)
    for who, expected in (
        ("alice", BadSignatureError),
        ("mallory", NotEntitledError),
        ("olga", NotEntitledError),
    ):
        mine.keyid = world.signers[who].public_key.keyid
        given = [GivenSignature(role=TARGETS, signed_sha256=digest, signature=mine)]
        with pytest.raises(expected):
            post(scene, "/signatures", signatures_to_json(subject_of(OTHER), given))
    with pytest.raises(NotFoundError, match="nobody proposed"):
        post(scene, "/signatures", signatures_to_json(subject_of(PACKAGES), given))
    (content,) = proposed(world)
    assert parse(content, Targets, where=TARGETS).signatures == {}


@pytest.mark.parametrize(
    "document",
    [
        {"repository": str(OTHER)},
        {"repository": "FreeBSD:15:aarch64", "key": {}},
        {"repository": str(OTHER), "key": {"holder": "mallory"}},
        {"repository": str(OTHER), "key": {}, "more": 1},
        {"subject": f"builder:{OTHER}"},
    ],
    ids=["no-key", "no-channel", "half-a-key", "more", "a-subject"],
)
def test_what_is_no_appointment_is_not_proposed(scene: Scene, document: object) -> None:
    with pytest.raises(RejectedError):
        post(scene, "/builders", document)
    with pytest.raises((RejectedError, NotFoundError)):
        post(scene, "/proposals", {"subject": f"builder:{OTHER}"})
    assert proposed(scene.world) == []


def test_a_server_that_proposes_another_key_gets_no_signature(lying: Scene, liar: Liar) -> None:
    carol = key_of(lying.world, "carol")

    def exchanges(state: Any) -> Any:
        for row in state["proposals"]:
            import base64

            metadata = parse(base64.b64decode(row["content"]), Targets, where=TARGETS)
            roles = metadata.signed.delegations.roles
            metadata.signed.delegations.keys[carol.keyid] = carol.to_tuf()
            roles[OTHER.role].keyids[:] = [carol.keyid]
            row["content"] = base64.b64encode(render(metadata)).decode()
        return state

    liar.lies["/desk/state"] = exchanges
    with pytest.raises((WrongSubjectError, RejectedError)):
        sign(lying, "alice", "mallory")
    assert liar.count("/signatures") == 0


def test_a_server_cannot_make_a_replaced_builder_of_anybody(lying: Scene, liar: Liar, tmp_path: Path) -> None:
    """Of every targets that is shown, curators' signatures are demanded: an invented one appoints nobody."""
    import base64

    world = lying.world
    publish(world, make_build(tmp_path / "build", {"demo": "1.0"}))
    appoint(lying, "mallory", repo=PACKAGES)

    def invents(state: Any) -> Any:
        for row in state["metadata"]:
            if row["role"] == TARGETS and row["version"] == 1:
                metadata: Any = parse(base64.b64decode(row["content"]), Targets, where=TARGETS)
                metadata.signed.expires = metadata.signed.expires.replace(year=2099)
                row["content"] = base64.b64encode(render(metadata)).decode()
        return state

    liar.lies["/desk/state"] = invents
    with pytest.raises(BadSignatureError):
        lying.desk("alice")
    liar.lies["/desk/state"] = lambda state: {
        **state,
        "metadata": [row for row in state["metadata"] if (row["role"], row["version"]) != (TARGETS, 1)],
    }
    with pytest.raises(BadSignatureError):
        lying.desk("alice")
    liar.lies["/desk/state"] = lambda state: {
        **state,
        "metadata": [row for row in state["metadata"] if row["role"] != PACKAGES.role],
    }
    with pytest.raises(RollbackError):
        lying.desk("alice")


def test_a_stolen_old_key_sets_no_memory(lying: Scene, liar: Liar, tmp_path: Path) -> None:
    """With it and the online key a server can show any version for a while, and nobody is kept out afterwards."""
    world = lying.world
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    appoint(lying, "mallory", repo=PACKAGES)
    honest = world.copy_to(tmp_path / "honest")
    with transaction(world.repository.engine) as session:
        row = session.query(MetadataRow).filter_by(role=PACKAGES.role).one()
        metadata: Any = parse(row.content, Targets, where=PACKAGES.role)
        metadata.signed.version = 99
        metadata.signatures.clear()
        metadata.sign(world.signers["builder"])
        row.version, row.content = 99, render(metadata)
        session.flush()
        sign_state(session, world.signers["online"], now=now())
    lying.desk("alice")
    with Scene(honest, lying.folder).serving() as scene:
        publish(
            honest, make_build(tmp_path / "two", {"demo": "1.1"}), keys=keys_of(honest, builder="mallory")
        )
        for _ in range(4):  # until its online versions are past those that were seen
            honest.refresh()
        scene.desk("alice")
    honest.close()


# --- after a replacement ---------------------------------------------------------------------------


@pytest.fixture
def replaced(scene: Scene, tmp_path: Path) -> Scene:
    publish(scene.world, make_build(tmp_path / "one", {"demo": "1.0"}))
    assert appoint(scene, "mallory", repo=PACKAGES)["builders"] == [str(PACKAGES)]
    return scene


def test_what_the_old_key_signed_counts_for_nothing_elsewhere(replaced: Scene) -> None:
    alice = replaced.desk("alice")
    with snapshot(alice.repository.engine) as session:
        assert published_index(alice.repository, session, PACKAGES) is None
        assert published_packages(alice.repository, session, Scope(package=parse_package_name("demo"))) == []


@pytest.mark.parametrize(
    "scope",
    [Scope(name=Pin.parse("web-search==1.0").name), Scope(package=parse_package_name("demo"))],
    ids=["a-skill", "the-package-that-it-left"],
)
def test_revoking_goes_on_after_a_replacement(replaced: Scene, scope: Scope) -> None:
    bob, signer = replaced.desk("bob"), replaced.world.signers["bob"]
    with transaction(bob.repository.engine) as session:
        draft = draft_withdrawal(
            bob.repository,
            session,
            scope,
            state=Withdrawn.REVOKED,
            severity=Harm.CRITICAL,
            reason="steals tokens",
            by=HolderName("bob"),
            now=now(),
        )
        subject = keep_list(bob.repository, session, draft.revocations.render(), now=now())
    bob.prepare_proposals(subject)
    with transaction(bob.repository.engine) as session:
        name = subject.partition(":")[2]
        give_list(bob.repository, session, name, signer, entry=draft.entry, now=now())
    bob.hand_in_signatures(subject, keyid=signer.public_key.keyid)
    assert [item["state"] for item in bob.publish(now=now())["withdrawals"]] == ["revoked"]


def test_a_skill_is_published_after_a_replacement(replaced: Scene) -> None:
    alice = replaced.desk("alice")
    candidate = replaced.stage(alice, "notes==1.0")
    replaced.review(alice, candidate, by="alice")
    bob = replaced.desk("bob")
    for desk, name in ((alice, "alice"), (bob, "bob")):
        replaced.sign(desk, candidate, by=name)
    assert bob.publish(now=now())["published"] == [{"kind": "release", "name": "notes", "version": "1.0"}]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_neither_key_renews_what_the_old_one_signed(replaced: Scene, tmp_path: Path, elsewhere: bool) -> None:
    """The old key is nobody's any more, the new one has seen nothing of it; a build goes on, and then it renews."""
    from tests.support.publishing import local_desk

    world = replaced.world
    desk = remote_desk(replaced, tmp_path / "host") if elsewhere else local_desk(world)
    before = dict(world.metadata())
    with pytest.raises(NotEntitledError):
        renew(desk, PACKAGES, keys_of(world), clock=now)
    with pytest.raises(NotFoundError, match="by its present builder") as caught:
        renew(desk, PACKAGES, keys_of(world, builder="mallory"), clock=now)
    assert "pkg publish" in caught.value.hint
    assert dict(world.metadata()) == before
    mine = keys_of(world, builder="mallory")
    done = publish(world, make_build(tmp_path / "two", {"demo": "1.0"}), desk=desk, keys=mine)
    assert (done.state, done.index.serial, done.index.kept) == ("published", 2, ())
    index, _ = renew(desk, PACKAGES, mine, clock=now)
    assert index == done.index
    with pytest.raises((NotEntitledError, ConflictError)):
        renew(desk, PACKAGES, keys_of(world), clock=now)
    with snapshot(world.repository.engine) as session:
        versions = [row.version for row in session.query(MetadataRow).filter_by(role=PACKAGES.role)]
    assert sorted(versions) == [1, 2, 3]
