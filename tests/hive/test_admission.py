"""The admission table: evidence, tier, opt-in, pin, revocation and time in; one outcome out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from hive.admission import Admission, admit
from hive.external import ExternalBundle, OptIn, read_external
from hive.policy import POLICY, Policy
from hive.tenants import Tenant, TenantStatus, Tier
from signing.errors import DemandError, ExceedsCapError, RejectedError
from signing.evidence import (
    VerifiedProfile,
    VerifiedRelease,
    VerifiedRevocations,
    verify_bundle,
    verify_profile,
    verify_release,
    verify_review,
    verify_revocations,
)
from signing.format.canonical import canonical
from signing.format.caps import Caps
from signing.format.digest import sha256_of
from signing.format.manifest import Kind
from signing.format.names import REVOCATIONS_PATH, Pin, parse_tenant_id
from signing.format.profile import PinnedBundle
from tests.attacks.forge import Forge
from tests.support.world import World, now

PIN = Pin.parse("web-search==1.0")
ACME, OTHER = parse_tenant_id("acme"), parse_tenant_id("other")


@dataclass
class Facts:
    """Everything that a decision is made from, verified once at ``at``."""

    at: datetime
    release: VerifiedRelease
    external: ExternalBundle
    changed: ExternalBundle
    lists: dict[str, VerifiedRevocations]
    profiles: dict[str, VerifiedProfile]

    def tenant(self, tier: Any) -> Tenant:
        return Tenant(
            tenant_id=ACME,
            tier=tier,
            profile=Pin.parse("base==1"),
            collection_id=None,
            scratch=False,
            status=TenantStatus.BIRTHING,
            reason="",
            created_at=self.at,
        )

    def consent(self, **other: Any) -> OptIn:
        given = {
            "tenant_id": ACME,
            "source": "clawhub:@northwind-tools/csv-summarizer@1.0.1",
            "pin": self.external.pin,
            "bundle_sha256": self.external.sha256,
            "owner": "olga",
            "reason": "wanted",
            "expires_at": self.at + timedelta(days=1),
        }
        return OptIn(**{**given, **other})

    def decide(self, evidence: Any, *, tier: Any = Tier.PAID, **other: Any) -> Admission:
        given = {
            "tenant": self.tenant(tier),
            "profile": self.profiles["as it is"],
            "kind": Kind.SKILL,
            "revocations": self.lists["nothing"],
            "opt_ins": (),
            "policy": POLICY,
            "now": self.at,
        }
        return admit(evidence, **{**given, **other})


@pytest.fixture(scope="module")
def facts(_world_template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    world = _world_template.copy_to(tmp_path_factory.mktemp("admission") / "world")
    at, forge = now(), Forge(world)
    trusted = forge.verify(at)

    def served(name: str) -> bytes:
        return next((world.public / "targets/skills/web-search/1.0").glob(f"*.{name}")).read_bytes()

    bundle = verify_bundle(served("web-search-1.0.tar.gz"), pin=PIN, target=trusted.vouch(PIN.bundle_path))
    review = verify_review(
        served("review.dsse.json"), bundle=bundle, target=trusted.vouch(PIN.review_path), trusted=trusted
    )
    external = read_external(forge.archive("csv-summarizer==1.0.1")[1])
    revoked = {
        "nothing": None,
        "another version": {"name": "web-search", "version": "2.0"},
        "another skill": {"name": "calendar"},
        "the version": {"name": "web-search", "version": "1.0"},
        "the name": {"name": "web-search"},
        "the tree": {"sha256": bundle.tree_sha256},
        "the bundle": {"sha256": bundle.target.sha256},
        "the external": {"name": "csv-summarizer"},
        "the external tree": {"sha256": external.bundle.manifest.tree_digest},
        "the external archive": {"sha256": external.sha256},
    }
    honest = PinnedBundle(
        pin=PIN,
        bundle_sha256=bundle.target.sha256,
        tree_sha256=bundle.tree_sha256,
        review_sha256=review.target.sha256,
    )
    pinned = {
        "as it is": honest,
        "another version": replace(honest, pin=Pin.parse("web-search==1.1")),
        "another skill": replace(honest, pin=Pin.parse("calendar==1.0")),
        "another bundle": replace(honest, bundle_sha256="0" * 64),
        "another tree": replace(honest, tree_sha256="0" * 64),
        "another review": replace(honest, review_sha256="0" * 64),
    }
    yield Facts(
        at=at,
        release=verify_release(bundle, review),
        external=external,
        changed=read_external(
            forge.archive("csv-summarizer==1.0.1", {"SKILL.md": b"---\nname: x\n---\nnew\n"})[1]
        ),
        lists={label: revocations(world, what, at) for label, what in revoked.items()},
        profiles={
            **{label: profile(world, item, at) for label, item in pinned.items()},
            "another profile": profile(world, honest, at, pin="other==1"),
            "an hour ago": profile(world, honest, at - timedelta(hours=1)),
        },
    )
    world.close()


def profile(world: World, item: PinnedBundle, at: datetime, *, pin: str = "base==1") -> VerifiedProfile:
    forge, wanted = Forge(world), Pin.parse(pin)
    forge.profile(pin, item)
    forge.state()
    data = next(data for path, data in forge.answers.items() if path.startswith("/targets/"))
    return verify_profile(data, pin=wanted, target=forge.verify(at).vouch(wanted.profile_path))


def revocations(world: World, what: dict[str, str] | None, at: datetime) -> VerifiedRevocations:
    forge = Forge(world)
    if what is None:
        data = next((world.public / "targets").glob("*.revocations.json")).read_bytes()
    else:
        forge.revoke(**what)
        forge.state()
        data = next(data for path, data in forge.answers.items() if path.startswith("/targets/"))
    trusted = forge.verify(at)
    return verify_revocations(data, target=trusted.vouch(REVOCATIONS_PATH), trusted=trusted)


def outcome(facts: Facts, evidence: Any, **given: Any) -> str:
    """The code of the refusal, or ``admitted``."""
    try:
        admission = facts.decide(evidence, **given)
    except RejectedError as error:
        return error.code
    assert isinstance(admission, Admission)
    assert admission.record["verdict"] == "admitted"
    return "admitted"


# --- first-party -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize(
    ("revoked", "expected"),
    [
        ("nothing", "admitted"),
        ("another version", "admitted"),
        ("another skill", "admitted"),
        ("the external", "admitted"),
        ("the version", "revoked"),
        ("the name", "revoked"),
        ("the tree", "revoked"),
        ("the bundle", "revoked"),
    ],
)
def test_first_party_by_revocation(facts: Facts, tier: Tier, revoked: str, expected: str) -> None:
    assert outcome(facts, facts.release, tier=tier, revocations=facts.lists[revoked]) == expected


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("as it is", "admitted"),
        ("another version", "wrong-subject"),
        ("another skill", "not-entitled"),
        ("another bundle", "wrong-subject"),
        ("another tree", "wrong-subject"),
        ("another review", "wrong-subject"),
        ("another profile", "wrong-subject"),
        ("an hour ago", "could-not-verify"),
    ],
)
def test_first_party_by_pin(facts: Facts, tier: Tier, profile: str, expected: str) -> None:
    assert outcome(facts, facts.release, tier=tier, profile=facts.profiles[profile]) == expected


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (timedelta(), "admitted"),
        (timedelta(minutes=14), "admitted"),
        (timedelta(minutes=15), "admitted"),
        (timedelta(minutes=15, microseconds=1), "could-not-verify"),
        (timedelta(days=1), "could-not-verify"),
        (timedelta(minutes=-15, microseconds=-1), "could-not-verify"),
    ],
)
def test_first_party_by_time(facts: Facts, tier: Tier, later: timedelta, expected: str) -> None:
    assert outcome(facts, facts.release, tier=tier, now=facts.at + later) == expected


def test_first_party_needs_no_opt_in_and_an_opt_in_changes_nothing(facts: Facts) -> None:
    with_one = facts.decide(facts.release, opt_ins=[facts.consent()])
    assert with_one.record == facts.decide(facts.release).record
    assert "opt_in" not in with_one.record


def test_the_kind_that_the_profile_says(facts: Facts) -> None:
    assert outcome(facts, facts.release, kind=Kind.SOUL) == "not-entitled"  # nothing is pinned as a soul
    assert (
        outcome(facts, facts.external, tier=Tier.FREE, kind=Kind.SOUL, opt_ins=[facts.consent()])
        == "wrong-subject"
    )


@pytest.mark.parametrize(("reviewers", "expected"), [(1, "admitted"), (2, "threshold-not-met")])
def test_a_policy_counts_reviewers(facts: Facts, reviewers: int, expected: str) -> None:
    assert outcome(facts, facts.release, policy=Policy(reviewers=reviewers)) == expected


# --- external --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "consent", "expected"),
    [
        (Tier.PAID, None, "not-first-party"),
        (Tier.PAID, {}, "not-first-party"),
        (Tier.FREE, None, "not-first-party"),
        (Tier.FREE, {}, "admitted"),
        (Tier.FREE, {"tenant_id": OTHER}, "not-first-party"),
        (Tier.FREE, {"bundle_sha256": "0" * 64}, "not-first-party"),
        (Tier.FREE, {"pin": Pin.parse("csv-summarizer==1.0")}, "not-first-party"),
        (Tier.FREE, {"pin": PIN}, "not-first-party"),
        (Tier.FREE, {"expires_at": None}, "not-first-party"),
    ],
)
@pytest.mark.parametrize("profile", ["as it is", "another skill"])
def test_external_by_tier_and_consent(
    facts: Facts, tier: Tier, consent: dict | None, expected: str, profile: str
) -> None:
    """What the profile pins neither helps nor hurts an external bundle."""
    if consent is not None and "expires_at" in consent:
        consent = {"expires_at": facts.at}  # ends now, so it has ended
    opt_ins = [] if consent is None else [facts.consent(**consent)]
    given = {"profile": facts.profiles[profile], "opt_ins": opt_ins}
    assert outcome(facts, facts.external, tier=tier, **given) == expected


@pytest.mark.parametrize(
    ("revoked", "expected"),
    [
        ("the name", "admitted"),
        ("the external", "revoked"),
        ("the external tree", "revoked"),
        ("the external archive", "revoked"),
    ],
)
def test_external_by_revocation(facts: Facts, revoked: str, expected: str) -> None:
    given = {"opt_ins": [facts.consent()], "revocations": facts.lists[revoked]}
    assert outcome(facts, facts.external, tier=Tier.FREE, **given) == expected


def test_external_by_time(facts: Facts) -> None:
    consent = facts.consent(expires_at=facts.at + timedelta(minutes=5))
    for later, expected in ((4, "admitted"), (5, "not-first-party"), (16, "could-not-verify")):
        moment = facts.at + timedelta(minutes=later)
        assert outcome(facts, facts.external, tier=Tier.FREE, opt_ins=[consent], now=moment) == expected


def test_consent_is_to_bytes(facts: Facts) -> None:
    """Same name, same version, same source, other bytes."""
    assert facts.changed.pin == facts.external.pin
    assert outcome(facts, facts.changed, tier=Tier.FREE, opt_ins=[facts.consent()]) == "not-first-party"


def test_one_valid_consent_among_others_is_enough(facts: Facts) -> None:
    others = [
        facts.consent(tenant_id=OTHER),
        facts.consent(bundle_sha256="0" * 64),
        facts.consent(owner="bob"),
    ]
    admission = facts.decide(facts.external, tier=Tier.FREE, opt_ins=others)
    assert admission.record["opt_in"]["owner"] == "bob"


# --- what is recorded ------------------------------------------------------------------------------


def test_the_record_names_who_vouched(facts: Facts) -> None:
    record = facts.decide(facts.release).record
    assert record["signed_by"] == ["alice", "bob"]
    assert record["reviewed_by"] == ["alice"]
    assert len(record["signer_keyids"]) == 2
    assert record["source"] == "first-party"
    assert record["policy_sha256"] == POLICY.sha256
    assert record["revocations_version"] == facts.lists["nothing"].target.role_version
    canonical(dict(record))  # it can stand in the hash-chained log


def test_the_record_of_an_external_bundle_says_whose_risk_it_is(facts: Facts) -> None:
    admission = facts.decide(facts.external, tier=Tier.FREE, opt_ins=[facts.consent()])
    assert not admission.first_party
    assert admission.record["risk"] == "operator's own risk"
    assert admission.record["bundle_sha256"] == facts.external.sha256
    assert "signed_by" not in admission.record
    canonical(dict(admission.record))


def test_a_refusal_says_what_to_do_next(facts: Facts) -> None:
    for given in ({"tier": Tier.PAID}, {"tier": Tier.FREE}):
        with pytest.raises(RejectedError) as caught:
            facts.decide(facts.external, **given)
        assert "skillrepo import" in caught.value.hint


def test_a_host_that_demands_an_engine_refuses_a_review_without_it(facts: Facts) -> None:
    with pytest.raises(DemandError) as refused:
        facts.decide(facts.release, policy=replace(POLICY, engines=("no-such-engine",)))
    assert refused.value.code == "demand-not-met"
    assert refused.value.facts["engines"] == ["no-such-engine"]


def test_the_engines_that_ran_are_enough(facts: Facts) -> None:
    ran = tuple(engine.name for engine in facts.release.review.review.engines)
    assert ran
    policy = replace(POLICY, engines=ran)
    assert facts.decide(facts.release, policy=policy).record["policy_sha256"] == policy.sha256


def test_a_review_under_another_policy_of_the_curators_is_refused(facts: Facts) -> None:
    with pytest.raises(DemandError):
        facts.decide(facts.release, policy=replace(POLICY, review_policies=(sha256_of(b"another"),)))


@pytest.mark.parametrize("tier", [Tier.PAID, Tier.FREE])
def test_what_exceeds_the_hosts_cap_is_refused_and_named(facts: Facts, tier: Tier) -> None:
    policy = replace(POLICY, caps={tier.value: Caps.parse({"runtimes": ["python"]}, "caps")})
    with pytest.raises(ExceedsCapError) as refused:
        facts.decide(facts.release, tier=tier, policy=policy)
    assert refused.value.code == "exceeds-cap"
    assert refused.value.facts["excess"] == ["runtimes: shell"]


def test_a_cap_of_one_tier_is_not_the_others(facts: Facts) -> None:
    policy = replace(POLICY, caps={"free": Caps.parse({"runtimes": []}, "caps")})
    assert facts.decide(facts.release, tier=Tier.PAID, policy=policy).first_party


def test_what_a_cap_allows_is_admitted(facts: Facts) -> None:
    policy = replace(POLICY, caps={"paid": Caps.parse({"hosts": [], "runtimes": ["shell"]}, "caps")})
    assert facts.decide(facts.release, policy=policy).record["policy_sha256"] == policy.sha256
