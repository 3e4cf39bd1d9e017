"""Evidence can be made by its verifier only, and each verifier refuses each way of not fitting."""

import copy
import dataclasses
import json
import pickle  # noqa: TID251 - to show that evidence refuses it
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Snapshot, Timestamp

from signing.errors import (
    BlockedError,
    DigestMismatchError,
    FormatError,
    RejectedError,
    ThresholdError,
    WrongSubjectError,
)
from signing.evidence import (
    VerifiedBundle,
    VerifiedProfile,
    VerifiedRelease,
    VerifiedReview,
    VerifiedRevocations,
    verify_bundle,
    verify_profile,
    verify_release,
    verify_review,
    verify_revocations,
    verify_tree,
)
from signing.format.archive import Bundle, SourceFile, read_bundle, render_bundle
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope
from signing.format.manifest import Kind, MemberPath
from signing.format.names import REVOCATIONS_PATH, Pin, TargetPath
from signing.format.profile import Profile
from signing.format.review import Decision, Review
from signing.format.revocations import Revocations
from signing.format.statement import PAYLOAD_TYPE, Statement
from signing.format.surface import SurfaceChange
from signing.keystore import SealedKeySigner
from signing.metadata import build_target
from signing.roles import hashed_path
from signing.trusted import TrustedMetadata, VouchedTarget, verify_metadata
from tests.signing.format import samples
from tests.signing.people import person
from tests.signing.repository import CURATORS, MALLORY, NOW, OLGA, PIN, State, build
from tests.support.world import World

OTHER_PIN = Pin.parse("web-search==1.1")
ALICE, BOB = CURATORS


def make_bundle(pin: Pin = PIN, *, kind: Kind = Kind.SKILL, text: bytes = b"# Search\n") -> Bundle:
    files = {MemberPath("SKILL.md"): SourceFile(content=text), MemberPath("a.txt"): SourceFile(content=b"a")}
    return Bundle.build(pin=pin, kind=kind, files=files)


def make_review(bundle: Bundle, **changes: Any) -> Review:
    archive, pin = render_bundle(bundle), bundle.manifest.pin
    about = {"bundle_sha256": sha256_of(archive), "tree_sha256": bundle.manifest.tree_digest}
    given = samples.review(pin=pin, **{key: value for key, value in changes.items() if key not in about})
    return dataclasses.replace(given, **{**about, **{key: changes[key] for key in about if key in changes}})


def seal(review: Review, *people: SealedKeySigner, payload_type: str = PAYLOAD_TYPE) -> bytes:
    envelope = Envelope(payload_type=payload_type, payload=review.to_statement().render())
    for someone in people:
        envelope = someone.sign_envelope(envelope)
    return envelope.render()


@dataclass
class Offer:
    """A repository that publishes one bundle with one review, honestly or not."""

    trusted: TrustedMetadata
    archive: bytes
    review: bytes

    @classmethod
    def of(
        cls,
        bundle: Bundle | None = None,
        review: bytes | None = None,
        *,
        archive: bytes | None = None,
        pin: Pin = PIN,
        custom: dict[str, Any] | None = None,
    ) -> "Offer":
        bundle = bundle or make_bundle()
        archive = render_bundle(bundle) if archive is None else archive
        review = seal(make_review(bundle), ALICE) if review is None else review
        signed = {
            "name": pin.name,
            "version": pin.version,
            "kind": "skill",
            "tree_sha256": bundle.manifest.tree_digest,
            "review_sha256": sha256_of(review),
            **(custom or {}),
        }
        signed = {key: value for key, value in signed.items() if value is not None}
        targets = [build_target(pin.bundle_path, archive, signed), build_target(pin.review_path, review)]
        state = build(extra={target.path: target for target in targets})
        return cls(state.verify(), archive, review)

    def bundle(self, pin: Pin = PIN) -> VerifiedBundle:
        return verify_bundle(self.archive, pin=pin, target=self.trusted.vouch(pin.bundle_path))

    def reviewed(self) -> VerifiedReview:
        return verify_review(
            self.review,
            bundle=self.bundle(),
            target=self.trusted.vouch(PIN.review_path),
            trusted=self.trusted,
        )


HONEST = Offer.of()
PROFILE = Profile(
    pin=Pin.parse("base==1"), skills=(samples.pinned("web-search==1.0"),), souls=(), capabilities=()
)


def vouched(role: str, path: TargetPath, data: bytes, by: tuple[SealedKeySigner, ...]) -> VouchedTarget:
    target = build_target(path, data).to_dict()
    state = State.fresh().spoil(role, lambda document: document["targets"].update({path: target}), by=by)
    return state.verify().vouch(path)


PROFILE_TARGET = vouched("profiles", PROFILE.pin.profile_path, PROFILE.render(), (OLGA,))
REVOCATIONS_TARGET = vouched("revocations", REVOCATIONS_PATH, Revocations().render(), (ALICE,))

EVIDENCE: list[Any] = [
    HONEST.trusted,
    HONEST.trusted.vouch(PIN.bundle_path),
    HONEST.bundle(),
    HONEST.reviewed(),
    verify_release(HONEST.bundle(), HONEST.reviewed()),
    verify_profile(PROFILE.render(), pin=PROFILE.pin, target=PROFILE_TARGET),
    verify_revocations(Revocations().render(), target=REVOCATIONS_TARGET, trusted=HONEST.trusted),
]
every_type = pytest.mark.parametrize("evidence", EVIDENCE, ids=lambda evidence: type(evidence).__name__)


# --- evidence cannot be forged --------------------------------------------------------------------------


def test_every_type_of_evidence_is_tried_here():
    assert {type(evidence) for evidence in EVIDENCE} == {
        TrustedMetadata,
        VouchedTarget,
        VerifiedBundle,
        VerifiedReview,
        VerifiedRelease,
        VerifiedProfile,
        VerifiedRevocations,
    }


def fields_of(evidence: Any) -> dict[str, Any]:
    return {item.name: getattr(evidence, item.name) for item in dataclasses.fields(evidence)}


@every_type
@pytest.mark.parametrize("seal", [None, object(), True, "seal"], ids=["None", "object", "True", "text"])
def test_evidence_cannot_be_constructed(evidence, seal):
    with pytest.raises(TypeError, match="comes from"):
        type(evidence)(**fields_of(evidence), seal=seal)


@every_type
def test_evidence_cannot_be_constructed_without_a_seal(evidence):
    with pytest.raises(TypeError):
        type(evidence)(**fields_of(evidence))


@every_type
def test_no_field_of_evidence_can_be_replaced(evidence):
    name = dataclasses.fields(evidence)[0].name
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(evidence, **{name: getattr(evidence, name)})
    with pytest.raises(TypeError, match="comes from"):
        dataclasses.replace(evidence, **{name: getattr(evidence, name)}, seal=None)


@every_type
def test_no_field_of_evidence_can_be_set_added_or_removed(evidence):
    for item in dataclasses.fields(evidence):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(evidence, item.name, None)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(evidence, item.name)
    with pytest.raises((AttributeError, TypeError)):
        evidence.approved = True
    assert not hasattr(evidence, "__dict__")


@every_type
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_evidence_cannot_be_copied(evidence, duplicate):
    with pytest.raises(TypeError, match="does not travel"):
        duplicate(evidence)


@every_type
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_evidence_cannot_be_pickled(evidence, protocol):
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(evidence, protocol)


@every_type
def test_evidence_does_not_take_the_state_of_something_else(evidence):
    """The standard library gives frozen dataclasses with slots a ``__setstate__`` that sets every field."""
    state = [getattr(evidence, item.name) for item in dataclasses.fields(evidence)]
    with pytest.raises(TypeError, match="does not"):
        evidence.__setstate__(state)


@every_type
def test_the_seal_does_not_stay_in_the_evidence(evidence):
    assert "seal" not in fields_of(evidence)
    assert "_Seal" not in repr(evidence)


# --- a published release --------------------------------------------------------------------------------


def published(world: World, *, now: datetime) -> TrustedMetadata:
    """What a client would verify, read from the published files."""
    folder = world.public / "metadata"
    files = {"timestamp": (folder / "timestamp.json").read_bytes()}
    version = Metadata[Timestamp].from_bytes(files["timestamp"]).signed.snapshot_meta.version
    files["snapshot"] = (folder / f"{version}.snapshot.json").read_bytes()
    for name, meta in Metadata[Snapshot].from_bytes(files["snapshot"]).signed.meta.items():
        files[name.removesuffix(".json")] = (folder / f"{meta.version}.{name}").read_bytes()
    return verify_metadata(world.anchor, roots=[], files=files, now=now)


def fetched(root: Path, target: VouchedTarget) -> bytes:
    return (root / "targets" / hashed_path(target.path, target.sha256)).read_bytes()


def test_what_a_repository_publishes_becomes_evidence(world):
    trusted = published(world, now=datetime.now(UTC))
    target, review_target = trusted.vouch(PIN.bundle_path), trusted.vouch(PIN.review_path)
    data = fetched(world.public, target)
    bundle = verify_bundle(data, pin=PIN, target=target)
    review = verify_review(
        fetched(world.public, review_target), bundle=bundle, target=review_target, trusted=trusted
    )
    release = verify_release(bundle, review)
    assert release.pin == PIN
    assert bundle.target.signers == ("alice", "bob")
    assert review.reviewers == ("alice",)
    assert review.review.decision is Decision.APPROVE
    assert verify_tree(read_bundle(data), pin=PIN, target=target).tree_sha256 == bundle.tree_sha256

    profile_pin = Pin.parse("base==1")
    profile_target = trusted.vouch(profile_pin.profile_path)
    profile = verify_profile(fetched(world.public, profile_target), pin=profile_pin, target=profile_target)
    assert profile.profile.skills[0].tree_sha256 == bundle.tree_sha256
    assert profile.profile.skills[0].review_sha256 == review.target.sha256
    assert profile_target.signers == ("olga",)

    list_target = trusted.vouch(REVOCATIONS_PATH)
    revocations = verify_revocations(fetched(world.public, list_target), target=list_target, trusted=trusted)
    digests = {"bundle_sha256": bundle.target.sha256, "tree_sha256": bundle.tree_sha256}
    assert revocations.covering(PIN, **digests) == ()


def test_what_a_repository_published_is_no_evidence_two_days_later(world):
    with pytest.raises(RejectedError):
        published(world, now=datetime.now(UTC) + timedelta(days=2))


# --- bundles --------------------------------------------------------------------------------------------


def test_every_flipped_byte_of_an_archive_is_another_archive():
    target = HONEST.trusted.vouch(PIN.bundle_path)
    for at in range(len(HONEST.archive)):
        mutated = bytearray(HONEST.archive)
        mutated[at] ^= 0x01
        with pytest.raises(DigestMismatchError):
            verify_bundle(bytes(mutated), pin=PIN, target=target)


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\0"])
def test_an_archive_of_another_length_is_refused(change):
    with pytest.raises(DigestMismatchError) as caught:
        verify_bundle(change(HONEST.archive), pin=PIN, target=HONEST.trusted.vouch(PIN.bundle_path))
    assert caught.value.where == PIN.bundle_path


def test_a_bundle_under_another_pin_is_refused():
    target = HONEST.trusted.vouch(PIN.bundle_path)
    for pin in (OTHER_PIN, Pin.parse("web-searcher==1.0")):
        with pytest.raises(WrongSubjectError):
            verify_bundle(HONEST.archive, pin=pin, target=target)


def test_the_bytes_of_another_release_under_this_path_are_refused():
    other = make_bundle(OTHER_PIN)
    with pytest.raises(WrongSubjectError):
        Offer.of(other).bundle()


def test_the_review_offered_as_bundle_is_refused():
    with pytest.raises((WrongSubjectError, FormatError)):
        verify_bundle(HONEST.review, pin=PIN, target=HONEST.trusted.vouch(PIN.review_path))


@pytest.mark.parametrize(
    "custom",
    [
        {"name": "web-searcher"},
        {"name": None},
        {"version": "1.1"},
        {"version": None},
        {"version": 1},
        {"kind": "soul"},
        {"kind": None},
        {"tree_sha256": "0" * 64},
        {"tree_sha256": None},
        {"tree_sha256": ["x"]},
    ],
    ids=str,
)
def test_a_bundle_that_is_not_what_signed_metadata_says_is_refused(custom):
    offer = Offer.of(custom=custom)
    with pytest.raises(WrongSubjectError) as caught:
        offer.bundle()
    assert next(iter(custom)) in str(caught.value)
    with pytest.raises(WrongSubjectError):
        verify_tree(read_bundle(offer.archive), pin=PIN, target=offer.trusted.vouch(PIN.bundle_path))


def test_a_soul_published_as_a_skill_is_refused():
    with pytest.raises(WrongSubjectError, match="kind"):
        Offer.of(make_bundle(kind=Kind.SOUL)).bundle()


def test_vouched_bytes_that_are_no_bundle_are_refused():
    with pytest.raises(FormatError):
        Offer.of(archive=b"not an archive").bundle()


# --- trees read back from a store -----------------------------------------------------------------------


def tampered(change: Any) -> Bundle:
    bundle = make_bundle()
    contents = dict(bundle.contents)
    change(contents)
    return Bundle(manifest=bundle.manifest, contents=contents)


@pytest.mark.parametrize(
    "change",
    [
        lambda contents: contents.update({"SKILL.md": b"# Smirch\n"}),
        lambda contents: contents.update({"SKILL.md": b""}),
        lambda contents: contents.pop("a.txt"),
        lambda contents: contents.update({"extra": b""}),
        lambda contents: contents.clear(),
    ],
    ids=["changed", "emptied", "missing", "one more", "nothing"],
)
def test_a_changed_tree_is_refused(change):
    with pytest.raises(DigestMismatchError):
        verify_tree(tampered(change), pin=PIN, target=HONEST.trusted.vouch(PIN.bundle_path))


def test_a_consistent_tree_that_is_not_the_signed_one_is_refused():
    other = make_bundle(text=b"# Other\n")
    with pytest.raises(WrongSubjectError, match="tree_sha256"):
        verify_tree(other, pin=PIN, target=HONEST.trusted.vouch(PIN.bundle_path))


# --- reviews --------------------------------------------------------------------------------------------


def test_a_review_by_both_curators_names_both():
    review = Offer.of(review=seal(make_review(make_bundle()), ALICE, BOB, MALLORY)).reviewed()
    assert review.reviewers == ("alice", "bob")
    assert set(review.reviewer_keyids) == {ALICE.held.keyid, BOB.held.keyid}


@pytest.mark.parametrize(
    "people",
    [
        (),
        (MALLORY,),
        (OLGA,),
        (person("online"),),
        (person("root-1"),),
        (person("mallory-2", holder="alice"),),
    ],
    ids=["nobody", "mallory", "operator", "online", "root", "another alice"],
)
def test_a_review_that_no_curator_signed_is_refused(people):
    with pytest.raises(ThresholdError):
        Offer.of(review=seal(make_review(make_bundle()), *people)).reviewed()


def test_a_curators_signature_on_another_review_does_not_count():
    honest = Envelope.parse(seal(make_review(make_bundle(), decision=Decision.REJECT), ALICE))
    payload = make_review(make_bundle()).to_statement().render()
    forged = Envelope(payload_type=PAYLOAD_TYPE, payload=payload, signatures=honest.signatures)
    with pytest.raises(ThresholdError):
        Offer.of(review=forged.render()).reviewed()


@pytest.mark.parametrize(
    "review",
    [
        make_review(make_bundle(OTHER_PIN)),
        make_review(make_bundle(text=b"# Other\n")),
        make_review(make_bundle(), bundle_sha256=sha256_of(b"x")),
        make_review(make_bundle(), tree_sha256=sha256_of(b"x")),
    ],
    ids=["another version", "other files", "another archive", "another tree"],
)
def test_a_review_of_another_bundle_is_refused(review):
    with pytest.raises(WrongSubjectError):
        Offer.of(review=seal(review, ALICE)).reviewed()


def test_a_statement_of_another_kind_is_refused():
    honest = make_review(make_bundle()).to_statement()
    other = Statement(subjects=honest.subjects, predicate_type="https://x/v1", predicate=honest.predicate)
    envelope = ALICE.sign_envelope(Envelope(payload_type=PAYLOAD_TYPE, payload=other.render()))
    with pytest.raises(WrongSubjectError):
        Offer.of(review=envelope.render()).reviewed()


def test_a_payload_of_another_type_is_refused():
    with pytest.raises(WrongSubjectError, match="text/plain"):
        Offer.of(review=seal(make_review(make_bundle()), ALICE, payload_type="text/plain")).reviewed()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 10_000], ids=["empty", "{}", "ff", "deep"])
def test_a_review_that_is_no_envelope_is_refused(data):
    with pytest.raises(FormatError):
        Offer.of(review=data).reviewed()


def test_an_envelope_around_nonsense_is_refused():
    envelope = ALICE.sign_envelope(Envelope(payload_type=PAYLOAD_TYPE, payload=b"nonsense"))
    with pytest.raises(FormatError):
        Offer.of(review=envelope.render()).reviewed()


@pytest.mark.parametrize("named", ["0" * 64, None, 1], ids=str)
def test_a_review_that_the_bundles_metadata_does_not_name_is_refused(named):
    with pytest.raises(WrongSubjectError, match="not the review"):
        Offer.of(custom={"review_sha256": named}).reviewed()


def test_other_bytes_than_the_vouched_review_are_refused():
    for data in (HONEST.review + b"\n", HONEST.review[:-1], HONEST.review.replace(b"a", b"b", 1)):
        with pytest.raises(DigestMismatchError):
            Offer(HONEST.trusted, HONEST.archive, data).reviewed()


def test_the_bundle_offered_as_its_own_review_is_refused():
    with pytest.raises(WrongSubjectError):
        verify_review(
            HONEST.archive,
            bundle=HONEST.bundle(),
            target=HONEST.trusted.vouch(PIN.bundle_path),
            trusted=HONEST.trusted,
        )


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.NEEDS_WORK])
def test_a_review_that_does_not_approve_is_refused_whoever_signed_it(decision):
    review = make_review(make_bundle(), decision=decision)
    with pytest.raises(BlockedError, match="not approved"):
        Offer.of(review=seal(review, ALICE, BOB)).reviewed()


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_change_of_the_surface_must_be_acknowledged(acknowledged):
    change = SurfaceChange(kind="hosts", entry="new.example", added=True)
    review = dataclasses.replace(
        make_review(make_bundle()), surface_changes=(change,), acknowledged=acknowledged
    )
    offer = Offer.of(review=seal(review, ALICE, BOB))
    if acknowledged:
        assert offer.reviewed().review.surface_changes == (change,)
    else:
        with pytest.raises(BlockedError, match="does not acknowledge"):
            offer.reviewed()


def test_a_blocking_finding_that_nobody_waived_is_refused():
    review = make_review(make_bundle(), findings=(samples.BLOCKING,))
    with pytest.raises(BlockedError) as caught:
        Offer.of(review=seal(review, ALICE)).reviewed()
    assert caught.value.facts["findings"] == [samples.BLOCKING.id]


@pytest.mark.parametrize(("days", "accepted"), [(1, True), (0, False), (-1, False)])
def test_a_waiver_counts_until_its_end(days, accepted):
    assert samples.NOW == NOW
    waiver = samples.waiver(days=days)
    review = make_review(make_bundle(), findings=(samples.BLOCKING,), waivers=(waiver,))
    offer = Offer.of(review=seal(review, ALICE))
    if accepted:
        assert offer.reviewed().review.waivers == (waiver,)
    else:
        with pytest.raises(BlockedError):
            offer.reviewed()


# --- releases, profiles, revocations --------------------------------------------------------------------


def test_bundle_and_review_of_different_releases_are_no_release():
    other = Offer.of(make_bundle(text=b"# Other\n"))
    with pytest.raises(WrongSubjectError):
        verify_release(other.bundle(), HONEST.reviewed())


def test_a_profile_under_another_path_is_refused():
    path = Pin.parse("base==2").profile_path
    target = vouched("profiles", path, PROFILE.render(), (OLGA,))
    for pin in (Pin.parse("base==2"), PROFILE.pin):
        with pytest.raises(WrongSubjectError):
            verify_profile(PROFILE.render(), pin=pin, target=target)


def test_a_profile_asked_for_under_another_pin_is_refused():
    with pytest.raises(WrongSubjectError):
        verify_profile(PROFILE.render(), pin=Pin.parse("base==2"), target=PROFILE_TARGET)


def test_other_bytes_than_the_vouched_profile_are_refused():
    with pytest.raises(DigestMismatchError):
        verify_profile(PROFILE.render() + b"\n", pin=PROFILE.pin, target=PROFILE_TARGET)


def test_a_vouched_profile_of_nothing_is_refused():
    document = {**json.loads(PROFILE.render()), "skills": []}
    data = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    target = vouched("profiles", PROFILE.pin.profile_path, data, (OLGA,))
    with pytest.raises(FormatError, match="pins no skill"):
        verify_profile(data, pin=PROFILE.pin, target=target)


def test_revocations_under_another_path_are_refused():
    """A curator's own bundle path cannot stand in for the list, even with the right bytes."""
    data = Revocations().render()
    offer = Offer.of(archive=data)
    with pytest.raises(WrongSubjectError):
        verify_revocations(data, target=offer.trusted.vouch(PIN.bundle_path), trusted=offer.trusted)


def test_other_bytes_than_the_vouched_revocations_are_refused():
    with pytest.raises(DigestMismatchError):
        verify_revocations(b"{}", target=REVOCATIONS_TARGET, trusted=HONEST.trusted)


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]"])
def test_an_empty_vouched_list_is_not_nothing_revoked(data):
    target = vouched("revocations", REVOCATIONS_PATH, data, (ALICE,))
    with pytest.raises(FormatError):
        verify_revocations(data, target=target, trusted=HONEST.trusted)
