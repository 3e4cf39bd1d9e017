"""Certificates that lie: each part that an attacker could exchange, and the error that it gives.

Where the host's signature is not what is attacked, the host itself lies: it signs what it likes with its own key.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive.certificate import issue, kept, load
from hive.db.session import transaction
from hive.host_key import HostKey
from repo_server.db.session import snapshot as repo_snapshot
from repo_server.db.session import transaction as repo_transaction
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.projection import project
from repo_server.publishing.state import current
from signing.birth import verify_birth
from signing.errors import (
    BadSignatureError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    NotFirstPartyError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.birth import MAX_CERTIFICATE_BYTES, BirthStatement, CertificateFile
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.names import Pin, parse_tenant_id
from signing.format.statement import Statement
from signing.roles import ROOT
from tests.attacks.scene import Scene
from tests.support.world import World, now

ACME = parse_tenant_id("acme")
OTHER = Sha256("0" * 64)


class Desk:
    """The host that signs, the certificate of an honest birth, and what the customer holds against it."""

    def __init__(self, scene: Scene) -> None:
        self.scene, mother = scene, scene.mother
        self.key = HostKey.open(mother.state)
        with transaction(mother.engine) as session:
            issue(session, scene.tenant(), self.key, now=now())
            self.data = load(session, ACME)
            self.evidence = kept(session, ACME)
        self.file = CertificateFile.parse(self.data)
        self.born = BirthStatement.of(self.file.envelope)

    def said(self, **changes: Any) -> bytes:
        """The certificate in which the host says something else."""
        return self.signed(replace(self.born, **changes).envelope())

    def signed(self, envelope: Envelope) -> bytes:
        return replace(self.file, envelope=self.key.sign(envelope)).render()

    def decided(self, **changes: Any) -> bytes:
        first, *others = self.born.decisions
        return self.said(decisions=({**first, **changes}, *others))

    def check(self, data: bytes, **options: Any) -> Any:
        given = {"anchor": self.scene.world.anchor, "host_keys": [self.key.held], **options}
        return verify_birth(data, **given)


@pytest.fixture
def desk(scene: Scene) -> Iterator[Desk]:
    scene.born()
    return Desk(scene)


def test_an_honest_certificate_is_verified_without_a_server(desk: Desk) -> None:
    asked = len(desk.scene.server.requests)
    found = desk.check(desk.data)
    assert [str(pin) for pin, _ in found.skills] == ["web-search==1.0"]
    assert (found.own_risk, found.born.tenant, found.signed_by) == ((), "acme", desk.key.held.holder)
    assert len(desk.scene.server.requests) == asked


def another_type(desk: Desk) -> bytes:
    statement = desk.born.statement()
    other = Statement(
        subjects=statement.subjects,
        predicate_type="https://skills.clawdie.si/attestations/review/v1",
        predicate=statement.predicate,
    )
    return desk.signed(replace(desk.born.envelope(), payload=other.render()))


def other_subjects(desk: Desk) -> bytes:
    statement = desk.born.statement()
    other = replace(statement, subjects=statement.subjects[:1])
    return desk.signed(replace(desk.born.envelope(), payload=other.render()))


def altered_payload(desk: Desk) -> bytes:
    envelope = desk.file.envelope
    altered = replace(envelope, payload=envelope.payload.replace(b'"paid"', b'"free"'))
    return replace(desk.file, envelope=altered).render()


def pretended_free(desk: Desk) -> bytes:
    """A paid tenant's birth with something of somebody else in it, at own risk."""
    (decision,) = desk.born.decisions
    return desk.said(decisions=(decision, {**decision, "pin": "csv==1.0", "source": "clawhub:x"}))


def own_risk_without_tree(desk: Desk) -> bytes:
    (decision,) = desk.born.decisions
    risk = {key: value for key, value in decision.items() if key != "tree_sha256"}
    return desk.said(
        tier="free", decisions=({**decision, "tier": "free"}, {**risk, "source": "x", "tier": "free"})
    )


def older_snapshot(desk: Desk) -> bytes:
    return desk.said(versions={**desk.born.versions, "snapshot": desk.born.versions["snapshot"] - 1})


def metadata_of_later(desk: Desk) -> bytes:
    desk.scene.world.refresh()
    now_published = desk.scene.world.metadata()
    files = {role: now_published.get(f"{role}.json", data) for role, data in desk.file.files.items()}
    return replace(desk.file, files=files).render()


def without_snapshot(desk: Desk) -> bytes:
    files = {role: data for role, data in desk.file.files.items() if role != "snapshot"}
    return replace(desk.file, files=files).render()


def altered_metadata(desk: Desk) -> bytes:
    files = {
        role: data.replace(b'"version": 1', b'"version": 2').replace(b'"version":1', b'"version":2')
        for role, data in desk.file.files.items()
    }
    return replace(desk.file, files=files).render()


def with_bill(desk: Desk, old: bytes, new: bytes) -> bytes:
    """The host signs a bill of materials that says something else than its decisions."""
    bom = desk.file.bom.replace(old, new)
    assert bom != desk.file.bom
    envelope = desk.key.sign(replace(desk.born, bom_sha256=sha256_of(bom)).envelope())
    return replace(desk.file, bom=bom, envelope=envelope).render()


LIES: dict[str, tuple[Callable[[Desk], bytes], type[SkillRepoError]]] = {
    "another predicate type": (another_type, FormatError),
    "other subjects": (other_subjects, FormatError),
    "altered payload": (altered_payload, BadSignatureError),
    "another host's name": (lambda desk: desk.said(host="host-other"), WrongSubjectError),
    "another key's id": (lambda desk: desk.said(host_keyid=OTHER), WrongSubjectError),
    "another anchor": (lambda desk: desk.said(anchor_sha256=OTHER), WrongSubjectError),
    "altered profile": (
        lambda desk: replace(
            desk.file, profile=desk.file.profile.replace(b"web-search", b"web-fetch1")
        ).render(),
        DigestMismatchError,
    ),
    "another profile named": (lambda desk: desk.said(profile=Pin.parse("base==2")), NotFoundError),
    "another digest of the profile": (lambda desk: desk.said(profile_sha256=OTHER), WrongSubjectError),
    "more capabilities": (lambda desk: desk.said(capabilities=("womb",)), WrongSubjectError),
    "no decision": (lambda desk: desk.said(decisions=()), VerificationError),
    "a decision twice": (lambda desk: desk.said(decisions=desk.born.decisions * 2), WrongSubjectError),
    "a decision more": (
        lambda desk: desk.said(
            decisions=(*desk.born.decisions, {**desk.born.decisions[0], "pin": "csv==1.0"})
        ),
        WrongSubjectError,
    ),
    "another tenant's decision": (lambda desk: desk.decided(tenant="boat"), WrongSubjectError),
    "another tier's decision": (lambda desk: desk.decided(tier="free"), WrongSubjectError),
    "a refusal": (lambda desk: desk.decided(verdict="refused"), WrongSubjectError),
    "other bytes": (lambda desk: desk.decided(bundle_sha256=OTHER), WrongSubjectError),
    "another tree": (lambda desk: desk.decided(tree_sha256=OTHER), WrongSubjectError),
    "a decision without a digest": (lambda desk: desk.decided(tree_sha256=None), FormatError),
    "own risk and paid": (pretended_free, NotFirstPartyError),
    "own risk without a tree": (own_risk_without_tree, RejectedError),
    "another lock": (lambda desk: desk.said(lock_sha256=OTHER), DigestMismatchError),
    "older snapshot named": (older_snapshot, WrongSubjectError),
    "metadata of later": (metadata_of_later, VerificationError),
    "metadata without snapshot": (without_snapshot, RejectedError),
    "altered metadata": (altered_metadata, VerificationError),
    "born when it was expired": (
        lambda desk: desk.said(
            born_at=desk.born.born_at + timedelta(days=400),
            activated_at=desk.born.born_at + timedelta(days=401),
        ),
        ExpiredError,
    ),
    "another bill": (
        lambda desk: replace(desk.file, bom=desk.file.bom.replace(b"web-search", b"web-fetch1")).render(),
        DigestMismatchError,
    ),
    "another bill, signed": (
        lambda desk: with_bill(desk, b'"web-search"', b'"web-fetch1"'),
        WrongSubjectError,
    ),
    "another digest in the bill, signed": (
        lambda desk: with_bill(desk, desk.born.decisions[0]["bundle_sha256"].encode(), OTHER.encode()),
        WrongSubjectError,
    ),
    "a bill without components, signed": (
        lambda desk: with_bill(desk, b'"components"', b'"composition"'),
        RejectedError,
    ),
    "another algorithm in the bill, signed": (
        lambda desk: with_bill(desk, b"SHA-256", b"SHA-512"),
        FormatError,
    ),
    "a bill that is none, signed": (lambda desk: with_bill(desk, desk.file.bom, b"[]"), FormatError),
    "active before it was born": (
        lambda desk: desk.said(activated_at=desk.born.born_at - timedelta(seconds=1)),
        WrongSubjectError,
    ),
    "cut off": (lambda desk: desk.data[:-20], FormatError),
    "empty": (lambda desk: b"", FormatError),
    "too large": (lambda desk: desk.data + b" " * MAX_CERTIFICATE_BYTES, FormatError),
    "another spelling": (lambda desk: json.dumps(json.loads(desk.data), indent=1).encode(), FormatError),
    "a key more": (lambda desk: json.dumps({**json.loads(desk.data), "x": 1}).encode(), FormatError),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_certificate_is_refused(desk: Desk, lie: str) -> None:
    tell, expected = LIES[lie]
    with pytest.raises(expected):
        desk.check(tell(desk))


def test_another_hosts_key_and_no_key_verify_nothing(desk: Desk, tmp_path: Path) -> None:
    other = HostKey.open(tmp_path / "other").held
    for keys in ([], [other]):
        with pytest.raises(BadSignatureError):
            desk.check(desk.data, host_keys=keys)


def test_another_anchor_of_the_customer_is_refused(desk: Desk) -> None:
    with pytest.raises(WrongSubjectError):
        desk.check(desk.data, anchor=desk.scene.world.anchor + b" ")


def test_it_is_still_verified_long_after_the_metadata_expired(desk: Desk) -> None:
    # Judged at the moment of the birth, so the clock of the customer does not matter.
    assert desk.check(desk.data).born.born_at == desk.evidence.looked_at


def follow(world: World) -> None:
    """Publish the next root; its holders stay, another year begins."""
    with repo_snapshot(world.repository.engine) as session:
        published = current(session, ROOT).content
    documents = sign_next(draft_next(published, now=now()), world.signers["root-1"], now=now())
    with repo_transaction(world.repository.engine) as session:
        accept_next_root(world.repository, session, documents, world.signers["online"], now=now())
    with repo_transaction(world.repository.engine) as session:
        project(world.repository, session)


@pytest.mark.parametrize("rotations", [1, 3])
def test_a_birth_after_the_root_was_followed_is_verified_by_the_first_anchor(
    scene: Scene, rotations: int
) -> None:
    """The customer's anchor is older than the root of that day; every root in between travels along."""
    for _ in range(rotations):
        follow(scene.world)
    scene.born()
    desk = Desk(scene)
    assert desk.born.versions["root"] == 1 + rotations
    assert len(desk.file.roots) >= rotations
    asked = len(scene.server.requests)
    assert [str(pin) for pin, _ in desk.check(desk.data).skills] == ["web-search==1.0"]
    assert len(scene.server.requests) == asked
    for number in range(len(desk.file.roots)):
        less = tuple(root for place, root in enumerate(desk.file.roots) if place != number)
        if desk.file.roots[number] != scene.world.anchor:
            with pytest.raises(VerificationError):
                desk.check(replace(desk.file, roots=less).render())


def test_a_certificate_from_before_a_rotation_stays_good(desk: Desk) -> None:
    follow(desk.scene.world)
    assert desk.check(desk.data).born.versions["root"] == 1


def test_a_host_that_remembers_the_old_root_certifies_with_the_chain(scene: Scene) -> None:
    """The host has seen root 1 and refreshes later: what it did not fetch on that day is there all the same."""
    scene.born()
    scene.register("boat")
    follow(scene.world)
    follow(scene.world)
    scene.born("boat")
    key = HostKey.open(scene.mother.state)
    with transaction(scene.mother.engine) as session:
        issue(session, scene.tenant("boat"), key, now=now())
        data = load(session, parse_tenant_id("boat"))
    found = verify_birth(data, anchor=scene.world.anchor, host_keys=[key.held])
    assert (found.born.tenant, found.born.versions["root"]) == ("boat", 3)
