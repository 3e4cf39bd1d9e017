"""Forged evidence: what was not checked cannot be passed off as what was, not even by our own code by mistake."""

import copy
import dataclasses
import os
import pickle  # noqa: TID251 - that it does not work is the test
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive import admission, external
from hive.admission import Admission, PackageAdmission, admit
from hive.external import ExternalBundle, read_external
from hive.jails.materialise import install_identity, install_skill
from hive.packages.install import install_package
from hive.policy import POLICY, Policy
from hive.tenants import Tier
from repo_client.client import Session
from signing import evidence, package_evidence, trusted
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    NotEntitledError,
    NotFirstPartyError,
    RejectedError,
    WrongSubjectError,
)
from signing.evidence import VerifiedRelease
from signing.format.digest import sha256_of
from signing.format.manifest import Kind
from signing.format.names import REVOCATIONS_PATH, Pin
from signing.format.profile import Profile
from signing.package_evidence import VerifiedPackage, verify_package, verify_package_set
from signing.trusted import TrustedMetadata, VouchedTarget
from tests.attacks.scene import Scene
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import BASE, index_of, listed
from tests.support.world import PACKAGES, World, jail_files, now

PIN = Pin.parse("web-search==1.0")


@pytest.fixture
def session(scene: Scene) -> Iterator[Session]:
    with scene.mother.client.session(now()) as session:
        session.revocations()
        yield session


def decide(scene: Scene, session: Session, given: Any, **other: Any) -> Admission:
    facts = {
        "tenant": scene.tenant(),
        "profile": session.profile(Pin.parse("base==1")),
        "kind": Kind.SKILL,
        "revocations": session.revocations(),
        "opt_ins": (),
        "policy": POLICY,
        "now": now(),
    }
    return admit(given, **{**facts, **other})


def evidence_of(scene: Scene, session: Session) -> dict[str, Any]:
    release = session.release(PIN)
    return {
        "TrustedMetadata": session._update._trusted,
        "VouchedTarget": release.bundle.target,
        "VerifiedBundle": release.bundle,
        "VerifiedReview": release.review,
        "VerifiedRelease": release,
        "VerifiedProfile": session.profile(Pin.parse("base==1")),
        "VerifiedRevocations": session.revocations(),
        "Admission": decide(scene, session, release),
        "ExternalBundle": read_external(scene.forge().archive("csv==1.0")[1]),
    }


KINDS = [
    "TrustedMetadata",
    "VouchedTarget",
    "VerifiedBundle",
    "VerifiedReview",
    "VerifiedRelease",
    "VerifiedProfile",
    "VerifiedRevocations",
    "Admission",
    "ExternalBundle",
]


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_cannot_be_made_by_hand(scene: Scene, session: Session, kind: str) -> None:
    genuine = evidence_of(scene, session)[kind]
    values = {field.name: getattr(genuine, field.name) for field in dataclasses.fields(genuine)}
    for seal in (
        {},
        {"seal": None},
        {"seal": object()},
        {"seal": admission._Seal()},
        {"seal": external._Seal()},
    ):
        with pytest.raises(TypeError):
            type(genuine)(**values, **seal)
    for module in (admission, external, evidence, trusted):
        if type(genuine).__module__ != module.__name__:
            with pytest.raises(TypeError):
                type(genuine)(**values, seal=module._SEAL)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_cannot_be_altered_or_copied(scene: Scene, session: Session, kind: str) -> None:
    genuine = evidence_of(scene, session)[kind]
    name = dataclasses.fields(genuine)[0].name
    attempts: list[Callable[[], object]] = [
        lambda: dataclasses.replace(genuine, **{name: getattr(genuine, name)}),
        lambda: copy.copy(genuine),
        lambda: copy.deepcopy(genuine),
        lambda: pickle.dumps(genuine),
        lambda: setattr(genuine, name, None),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, AttributeError, ValueError)):
            attempt()


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"bytes",
        {"first_party": True},
        object(),
        True,
        [],
        "web-search==1.0",
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_evidence_is_refused(scene: Scene, session: Session, given: object) -> None:
    with pytest.raises(NotFirstPartyError, match="is not evidence"):
        decide(scene, session, given)
    assert not (scene.mother.state / "jails").exists()


@pytest.mark.parametrize("part", ["bundle", "review", "target", "contents"])
def test_a_part_of_the_evidence_is_not_the_evidence(scene: Scene, session: Session, part: str) -> None:
    release = session.release(PIN)
    parts = {
        "bundle": release.bundle,
        "review": release.review,
        "target": release.bundle.target,
        "contents": release.bundle.bundle,
    }
    with pytest.raises(NotFirstPartyError, match="is not evidence"):
        decide(scene, session, parts[part])


def test_something_that_looks_like_a_release_is_none(scene: Scene, session: Session) -> None:
    class Lookalike:
        def __init__(self, genuine: VerifiedRelease) -> None:
            self.bundle, self.review, self.pin = genuine.bundle, genuine.review, genuine.pin

    with pytest.raises(NotFirstPartyError, match="is not evidence"):
        decide(scene, session, Lookalike(session.release(PIN)))


def test_only_an_admission_is_materialised(scene: Scene, session: Session) -> None:
    release = session.release(PIN)
    scene.mother.host.create(scene.tenant().tenant_id, mark="ours")
    with scene.mother.host.open_root(scene.tenant().tenant_id) as root:
        for given in (release, release.bundle, release.bundle.bundle, None, b""):
            with pytest.raises(AttributeError):
                install_skill(root, given)
        with pytest.raises(WrongSubjectError):
            install_identity(root, [decide(scene, session, release)])
        assert root.listing() == ()


@pytest.mark.parametrize(
    "offset",
    [timedelta(minutes=15, seconds=1), timedelta(hours=1), timedelta(minutes=-16), timedelta(days=-400)],
)
def test_stale_evidence_is_refused(scene: Scene, session: Session, offset: timedelta) -> None:
    """Verified a while ago, or in a future that has not come: verify again."""
    release = session.release(PIN)
    with pytest.raises(CouldNotVerifyError, match="not now"):
        decide(scene, session, release, now=session._now + offset)


def test_fresh_revocations_do_not_excuse_an_old_release_nor_the_other_way_round(scene: Scene) -> None:
    with scene.mother.client.session(now() - timedelta(hours=1)) as old:
        old_release, old_list = old.release(PIN), old.revocations()
    with scene.mother.client.session(now()) as fresh:
        with pytest.raises(CouldNotVerifyError):
            decide(scene, fresh, old_release)
        with pytest.raises(CouldNotVerifyError):
            decide(scene, fresh, fresh.release(PIN), revocations=old_list)
        assert decide(scene, fresh, fresh.release(PIN)).first_party


def test_first_party_evidence_that_nobody_pinned(scene: Scene) -> None:
    """Published, reviewed, signed, and not in this tenant's profile."""
    scene.world.publish_skill("calendar==1.0")
    with scene.mother.client.session(now()) as session:
        for tier in Tier:
            with pytest.raises(NotEntitledError):
                decide(
                    scene,
                    session,
                    session.release(Pin.parse("calendar==1.0")),
                    tenant=dataclasses.replace(scene.tenant(), tier=tier),
                )


def test_a_policy_with_more_reviewers_counts_people(scene: Scene, session: Session) -> None:
    with pytest.raises(RejectedError) as caught:
        decide(scene, session, session.release(PIN), policy=Policy(reviewers=2))
    assert caught.value.code == "threshold-not-met"


def test_an_empty_profile_is_no_profile(scene: Scene) -> None:
    """The vacuous pass: nothing to check is not everything checked."""
    with pytest.raises(FormatError, match="pins no skill"):
        Profile(pin=Pin.parse("base==2"), skills=(), souls=(), capabilities=())
    forge = scene.forge()
    honest = next((scene.world.public / "targets/profiles/base").glob("*.1.json")).read_bytes()
    start, end = honest.index(b'"skills":['), honest.index(b"]", honest.index(b'"skills":['))
    empty = honest[:start] + b'"skills":[' + honest[end:]
    forge.add("profiles/base/2.json", empty.replace(b'"version":"1"}', b'"version":"2"}'), by=["olga"])
    forge.state()
    forge.answer(scene.server)
    scene.register("other", profile="base==2")
    refusal = scene.refused(FormatError, code="malformed", name="other")
    assert "pins no skill" in str(refusal.error)
    assert jail_files(scene.mother) == {}


def test_trust_is_about_one_moment(scene: Scene, session: Session) -> None:
    assert isinstance(session._update._trusted, TrustedMetadata)
    target = session._update._trusted.vouch(REVOCATIONS_PATH)
    assert isinstance(target, VouchedTarget)
    assert target.checked_at == session._now
    assert isinstance(read_external(scene.forge().archive("csv==1.0")[1]), ExternalBundle)


# --- packages --------------------------------------------------------------------------------------

PACKAGE_KINDS = ["VerifiedPackageSet", "VerifiedAdvisories", "VerifiedPackage", "PackageAdmission"]
BOAT = Pin.parse("base==2")


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "harbour") as harbour:
        yield harbour


@contextmanager
def package_facts(harbour: Harbour, data: bytes = BASE) -> Iterator[dict[str, Any]]:
    """Genuine evidence about a package, and everything that `admit` asks for beside it."""
    mother = harbour.scene.mother
    with mother.client.session(now()) as session:
        packages = session.packages(PACKAGES)
        facts = {
            "tenant": harbour.scene.tenant("boat"),
            "profile": session.profile(BOAT),
            "revocations": session.revocations(),
            "advisories": session.advisories(),
            "policy": POLICY,
            "now": now(),
        }
    package = packages.index.by_sha256()
    digest = next(digest for digest, item in package.items() if item.size == len(data))
    with mother.client.package(digest, packages=packages, store=mother.pantry.store) as given:
        yield {"given": given, "packages": packages, **facts}


def let_in(facts: dict[str, Any], **other: Any) -> PackageAdmission:
    told = {key: value for key, value in facts.items() if key not in {"given", "packages"}}
    return admit(other.pop("given", facts["given"]), **{**told, **other})


def package_evidence_of(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "VerifiedPackageSet": facts["packages"],
        "VerifiedAdvisories": facts["advisories"],
        "VerifiedPackage": facts["given"],
        "PackageAdmission": let_in(facts),
    }


@pytest.mark.parametrize("kind", PACKAGE_KINDS)
def test_evidence_about_packages_cannot_be_made_by_hand(harbour: Harbour, kind: str) -> None:
    with package_facts(harbour) as facts:
        genuine = package_evidence_of(facts)[kind]
        values = {field.name: getattr(genuine, field.name) for field in dataclasses.fields(genuine)}
        for seal in ({}, {"seal": None}, {"seal": admission._Seal()}, {"seal": package_evidence._Seal()}):
            with pytest.raises(TypeError):
                type(genuine)(**values, **seal)
        for module in (admission, external, evidence, package_evidence, trusted):
            if type(genuine).__module__ != module.__name__:
                with pytest.raises(TypeError):
                    type(genuine)(**values, seal=module._SEAL)


@pytest.mark.parametrize("kind", PACKAGE_KINDS)
def test_evidence_about_packages_cannot_be_altered_or_copied(harbour: Harbour, kind: str) -> None:
    with package_facts(harbour) as facts:
        genuine = package_evidence_of(facts)[kind]
        name = dataclasses.fields(genuine)[0].name
        attempts: list[Callable[[], object]] = [
            lambda: dataclasses.replace(genuine, **{name: getattr(genuine, name)}),
            lambda: copy.copy(genuine),
            lambda: copy.deepcopy(genuine),
            lambda: pickle.dumps(genuine),
            lambda: setattr(genuine, name, None),
        ]
        for attempt in attempts:
            with pytest.raises((TypeError, AttributeError, ValueError)):
                attempt()


def test_a_part_of_a_package_is_not_its_evidence(harbour: Harbour) -> None:
    """Neither its bytes, nor its name in a signed index, nor the index: for no tier."""
    with package_facts(harbour) as facts:
        for tier in Tier:
            tenant = dataclasses.replace(facts["tenant"], tier=tier)
            assert let_in(facts, tenant=tenant).pin.name == "demo-base"
            for given in (BASE, facts["given"].package, facts["packages"], facts["packages"].index):
                with pytest.raises(NotFirstPartyError, match="is not evidence"):
                    let_in(facts, tenant=tenant, given=given)


def test_a_package_is_not_admitted_without_advisories_or_by_old_ones(harbour: Harbour) -> None:
    with package_facts(harbour) as facts:
        with pytest.raises(CouldNotVerifyError, match="nothing is known"):
            let_in(facts, advisories=None)
        with pytest.raises(CouldNotVerifyError, match="not now"):
            let_in(facts, now=now() + timedelta(minutes=16))
    with (
        harbour.scene.mother.client.session(now() - timedelta(hours=1)) as old,
        pytest.raises(CouldNotVerifyError),
    ):
        let_in(facts, advisories=old.advisories())


def test_an_old_index_is_not_excused_by_fresh_facts(harbour: Harbour) -> None:
    mother = harbour.scene.mother
    with mother.client.session(now() - timedelta(hours=1)) as session:
        old = session.packages(PACKAGES)
    digest = old.index.packages[1].sha256
    with (
        package_facts(harbour) as facts,
        mother.client.package(digest, packages=old, store=mother.pantry.store) as given,
        pytest.raises(CouldNotVerifyError, match="the index of"),
    ):
        let_in(facts, given=given)


def test_a_package_that_nobody_pinned(harbour: Harbour) -> None:
    with harbour.scene.mother.client.session(now()) as session:
        other = session.profile(Pin.parse("base==1"))
    with package_facts(harbour) as facts, pytest.raises(NotEntitledError):
        let_in(facts, profile=other, tenant=harbour.scene.tenant("acme"))


def test_only_an_admission_is_installed(harbour: Harbour) -> None:
    scene = harbour.scene
    tenant = scene.tenant("boat").tenant_id
    scene.mother.host.create(tenant, mark="ours")
    with package_facts(harbour) as facts:
        for given in (facts["given"], facts["given"].package, BASE, None):
            with pytest.raises(TypeError):
                install_package(scene.mother.host, tenant, given, now=now())
    with scene.mother.host.open_root(tenant) as root:
        assert root.listing() == ()


def test_an_index_that_is_not_what_the_target_vouches_for(harbour: Harbour) -> None:
    with package_facts(harbour) as facts:
        target = facts["packages"].target
        honest = facts["packages"].index.render()
        assert verify_package_set(honest, repo=PACKAGES, target=target).index == facts["packages"].index
        with pytest.raises(RejectedError):
            verify_package_set(honest.replace(b"All/", b"Arr/"), repo=PACKAGES, target=target)
        with pytest.raises(WrongSubjectError):
            verify_package_set(honest, repo=dataclasses.replace(PACKAGES, channel="quarterly"), target=target)


def test_a_package_keeps_its_last_piece_back_until_all_of_it_is_right(
    harbour: Harbour, tmp_path: Path
) -> None:
    """Larger than a piece: what is altered after the check is noticed, and the end is not handed out."""
    data = b"x" * (5 << 19)
    entry = listed(BASE, sha256=sha256_of(data), size=len(data))
    with package_facts(harbour) as facts:
        packages = package_evidence.VerifiedPackageSet(
            index=index_of([entry]), target=facts["packages"].target, seal=package_evidence._SEAL
        )
    path = tmp_path / "large.pkg"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDWR)
    with verify_package(descriptor, sha256=entry.sha256, packages=packages) as package:
        assert isinstance(package, VerifiedPackage)
        assert b"".join(package.stream()) == data
        os.pwrite(descriptor, b"y", 3)
        got: list[bytes] = []
        with pytest.raises(RejectedError):
            got.extend(package.stream())
        assert sum(map(len, got)) < len(data)
        os.pwrite(descriptor, b"x", 3)
        os.ftruncate(descriptor, 10)
        with pytest.raises(RejectedError):
            list(package.stream())
    os.close(descriptor)
    assert harbour.open_packages() == []
