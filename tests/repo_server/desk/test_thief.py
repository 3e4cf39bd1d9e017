"""Somebody has a curator's token, or the server's database, or both. They hold no key, and publish nothing."""

from pathlib import Path

import pytest
from securesystemslib.signer import Signature
from sqlalchemy import select

from repo_server.curation.candidates import find
from repo_server.db.models import CandidateRow, CandidateState, ProposalRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.client import Upload
from repo_server.desk.wire import signatures_to_json
from repo_server.publishing.handed_in import GivenSignature, signed_sha256
from repo_server.publishing.proposals import open_proposals
from repo_server.tokens import Scope, TokenRefusedError
from signing.errors import (
    BadSignatureError,
    ConflictError,
    NotEntitledError,
    NotFoundError,
    RejectedError,
    WrongSubjectError,
)
from signing.format.canonical import canonical, parse_json
from tests.repo_server.desk.scene import Scene
from tests.support.world import now


def published(scene: Scene) -> set[str]:
    return {path.name for path in Path(scene.world.public / "metadata").iterdir() if "skills-" in path.name}


def post(scene: Scene, path: str, document: object, *, token: str | None = None) -> None:
    upload = Upload(content=canonical(document), media_type="application/json")
    scene.client("alice", token=token).ask("POST", path, upload=upload)


def review_of(scene: Scene, candidate: str) -> bytes:
    with snapshot(scene.world.repository.engine) as session:
        return scene.world.repository.blobs.load(find(session, candidate).review_sha256)


def test_a_review_by_a_key_that_is_no_curators(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.decide(alice, candidate, by="alice")
    with snapshot(alice.repository.engine) as session:
        envelope = parse_json(alice.repository.blobs.load(find(session, candidate).review_sha256))
    from signing.format.envelope import Envelope

    parsed = Envelope.parse(canonical({**envelope, "signatures": []}))
    forged = scene.world.signers["mallory"].sign_envelope(parsed)
    for attempt in (forged, parsed):
        document = {"envelope": parse_json(attempt.render()), "replaces": None}
        with pytest.raises(NotEntitledError):
            post(scene, f"/candidates/{candidate}/reviews", document)
    assert scene.state_of(candidate) == "staged"


def test_a_review_of_one_candidate_is_none_of_another(scene: Scene) -> None:
    alice = scene.desk("alice")
    good, evil = scene.stage(alice, "notes==1.0"), scene.stage(alice, "evil==1.0")
    scene.review(alice, good, by="alice")
    document = {"envelope": parse_json(review_of(scene, good)), "replaces": None}
    with pytest.raises(WrongSubjectError):
        post(scene, f"/candidates/{evil}/reviews", document)
    with pytest.raises(NotFoundError):
        post(scene, f"/candidates/{'0' * 32}/reviews", document)
    assert scene.state_of(evil) == "staged"


def test_handing_in_a_review_again_changes_nothing(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    scene.sign(alice, candidate, by="alice")
    before = review_of(scene, candidate)
    post(scene, f"/candidates/{candidate}/reviews", {"envelope": parse_json(before), "replaces": None})
    assert review_of(scene, candidate) == before
    with snapshot(scene.world.repository.engine) as session:
        assert len(open_proposals(session)) > 0  # and the signatures stay


def given(scene: Scene, candidate: str, *, keyid: str, signature: str | None = None) -> object:
    with snapshot(scene.world.repository.engine) as session:
        rows = open_proposals(session, f"candidate:{candidate}")
        items = [
            GivenSignature(
                role=row.role,
                signed_sha256=signed_sha256(row),
                signature=Signature(keyid, signature or "ab" * 64),
            )
            for row in rows
        ]
    return signatures_to_json(f"candidate:{candidate}", items)


def test_signatures_that_nobody_gave(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    alice.prepare_proposals(f"candidate:{candidate}")
    keys = {name: signer.public_key.keyid for name, signer in scene.world.signers.items()}
    with pytest.raises(BadSignatureError):
        post(scene, "/signatures", given(scene, candidate, keyid=keys["alice"]))
    for name in ("mallory", "olga", "online"):
        with pytest.raises(NotEntitledError):
            post(scene, "/signatures", given(scene, candidate, keyid=keys[name]))
    with snapshot(scene.world.repository.engine) as session:
        assert all(b'"signatures":[]' in row.content for row in open_proposals(session))


def test_a_signature_on_one_proposal_is_none_on_another(scene: Scene) -> None:
    alice, keyid = scene.desk("alice"), scene.world.signers["alice"].public_key.keyid
    good = scene.stage(alice, "notes==1.0")
    scene.review(alice, good, by="alice")
    scene.sign(alice, good, by="alice")
    with snapshot(scene.world.repository.engine) as session:
        from tuf.api.metadata import Targets

        from signing.metadata import parse

        row = open_proposals(session, f"candidate:{good}")[0]
        stolen = parse(row.content, Targets, where="x").signatures[keyid].signature
    bob = scene.desk("bob")
    evil = scene.stage(bob, "evil==1.0")
    scene.review(bob, evil, by="bob")
    bob.prepare_proposals(f"candidate:{evil}")
    with pytest.raises(BadSignatureError):
        post(scene, "/signatures", given(scene, evil, keyid=keyid, signature=stolen))


def test_not_all_signatures_of_a_subject_are_none(scene: Scene) -> None:
    """Half a hand-in would leave a release that looks signed here and is not there."""
    alice, signer = scene.desk("alice"), scene.world.signers["alice"]
    alice.prepare_proposals("renewal:skills")
    with snapshot(alice.repository.engine) as session:
        rows = open_proposals(session, "renewal:skills")
        from tuf.api.metadata import Targets

        from signing.metadata import parse

        items = [
            GivenSignature(
                role=row.role,
                signed_sha256=signed_sha256(row),
                signature=signer.sign(parse(row.content, Targets, where=row.role).signed_bytes),
            )
            for row in rows
        ]
    assert len(items) > 2
    with pytest.raises(ConflictError):
        post(scene, "/signatures", signatures_to_json("renewal:skills", items[:-1]))
    wrong = [
        *items[:-1],
        GivenSignature(
            role=items[-1].role, signed_sha256=items[-1].signed_sha256, signature=items[0].signature
        ),
    ]
    with pytest.raises(BadSignatureError):
        post(scene, "/signatures", signatures_to_json("renewal:skills", wrong))
    with snapshot(scene.world.repository.engine) as session:
        assert all(b'"signatures":[]' in row.content for row in open_proposals(session))
    post(scene, "/signatures", signatures_to_json("renewal:skills", items))


def test_a_thief_with_the_database_too(scene: Scene) -> None:
    """Rows say reviewed, signed, published; nobody signed, so nothing becomes of it."""
    thief = scene.desk("alice")
    candidate = scene.stage(thief, "evil==1.0")
    before = published(scene)
    for state in (CandidateState.REVIEWED, CandidateState.SIGNED):
        with transaction(scene.world.repository.engine) as session:
            session.get_one(CandidateRow, candidate).state = state
        with pytest.raises((NotFoundError, RejectedError)):
            post(scene, "/proposals", {"subject": f"candidate:{candidate}"})
        assert thief.publish(now=now())["published"] == []
    assert published(scene) == before


def test_a_signature_by_the_wrong_role_does_not_count_in_the_database_either(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    scene.sign(alice, candidate, by="alice")
    before = published(scene)
    with transaction(scene.world.repository.engine) as session:
        session.get_one(CandidateRow, candidate).state = CandidateState.SIGNED
        for row in session.scalars(
            select(ProposalRow).where(ProposalRow.subject == f"candidate:{candidate}")
        ):
            mallory = scene.world.signers["mallory"].public_key.keyid
            row.content = row.content.replace(
                b'"signatures":[',
                b'"signatures":[{"keyid":"%s","sig":"%s"},' % (mallory.encode(), b"ab" * 64),
            )
    from signing.errors import ThresholdError

    with pytest.raises(ThresholdError):
        scene.desk("bob").publish(now=now())
    assert published(scene) == before


def test_a_builders_token_opens_no_desk(scene: Scene) -> None:
    token = scene.token("builder", scope=Scope.parse("publish-pkg:FreeBSD:14:amd64/latest"))
    with pytest.raises(NotEntitledError):
        scene.desk("builder", token=token)


def test_a_token_of_another_repository(scene: Scene) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        scene.desk("alice", token="skt_0123456789ab_" + "A" * 43)
    assert caught.value.exit_status == 12


def test_a_path_in_the_place_of_an_id(scene: Scene) -> None:
    for path in ("/candidates/..%2f..%2fkeys/bundle", "/blobs/..%2f..%2frepository.db", "/blobs/%2e%2e"):
        with pytest.raises(RejectedError):
            scene.client().ask("GET", path)
