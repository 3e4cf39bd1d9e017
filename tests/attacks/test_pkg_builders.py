"""Builders: a key signs for the one repository to which curators appointed it, and an appointment does nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import DelegatedRole, TargetFile, Targets

from repo_server.db import log
from repo_server.db.models import MetadataRow, ProposalRow, ProposalState
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.accepting import accept_build
from repo_server.pkgrepo.indexes import appointed_repos, continued_index, published_index
from repo_server.publishing.alone import continued_alone, next_metadata
from repo_server.publishing.builders import KIND, drop_builder, give_builder, plan_builder
from repo_server.publishing.ceremony import Standing
from repo_server.publishing.profile_packages import pin_packages
from repo_server.publishing.vouched import vouched_targets
from signing.errors import (
    BadSignatureError,
    ConflictError,
    NotEntitledError,
    NotFoundError,
    SkillRepoError,
    ThresholdError,
    WrongSubjectError,
)
from signing.format.names import HolderName
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey
from signing.keystore import PUBLIC_SUFFIX, new_key
from signing.metadata import build_target, parse, render
from signing.roles import ADVISORIES, PROFILES, SKILLS, TARGETS
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import keys_of, later, make_build, publish, remote_desk
from tests.support.withdrawing import withdraw
from tests.support.world import CHEAP, PACKAGES, PASSPHRASE, World, now

OTHER = PackageRepo.parse("FreeBSD:15:aarch64/quarterly")


def key_of(world: World, name: str) -> HeldKey:
    return HeldKey.parse((world.folder / f"people/{name}{PUBLIC_SUFFIX}").read_bytes())


def appoint(
    world: World, name: str, *, repo: PackageRepo = OTHER, by: tuple[str, ...] = ("alice", "bob")
) -> Standing:
    key = key_of(world, name)
    for curator in by:
        with transaction(world.repository.engine) as session:
            standing = give_builder(world.repository, session, repo, key, world.signers[curator], now=now())
    return standing


def versions(world: World) -> dict[str, int]:
    """The newest published version of every role."""
    with snapshot(world.repository.engine) as session:
        rows = session.query(MetadataRow.role, MetadataRow.version).all()
    return {role: max(version for other, version in rows if other == role) for role, _ in rows}


def appointed(world: World) -> list[PackageRepo]:
    with snapshot(world.repository.engine) as session:
        return appointed_repos(world.repository, session)


def test_two_curators_appoint_a_builder_and_it_publishes(world: World, tmp_path: Path) -> None:
    first = appoint(world, "mallory", by=("alice",))
    assert (first.complete, first.missing) == (False, ("bob",))
    assert appoint(world, "mallory", by=("bob",)).complete
    assert world.publish().builders == (OTHER,)
    assert appointed(world) == [PACKAGES, OTHER]
    build = make_build(tmp_path / "build", {"demo": "1.0"}, abi="FreeBSD:15:*")
    outcome = publish(world, build, keys=keys_of(world, builder="mallory"), repo=OTHER)
    assert outcome.index.serial == 1
    with snapshot(world.repository.engine) as session:
        signed = [record.facts for record in log.read(session) if record.event == "builder.signed"]
    assert [(facts["builder"], facts["by"]) for facts in signed] == [("mallory", "alice"), ("mallory", "bob")]


def test_one_curator_alone_appoints_nobody(world: World, tmp_path: Path) -> None:
    before = versions(world)
    appoint(world, "mallory", by=("alice",))
    appoint(world, "mallory", by=("alice",))  # and twice is not two
    with pytest.raises(ThresholdError) as caught:
        world.publish()
    assert caught.value.facts["missing"] == ("bob",)
    assert (versions(world), appointed(world)) == (before, [PACKAGES])
    build = make_build(tmp_path / "build", {"demo": "1.0"}, abi="FreeBSD:15:*")
    with pytest.raises(NotFoundError, match="appointed"):
        publish(world, build, keys=keys_of(world, builder="mallory"), repo=OTHER)


@pytest.mark.parametrize("who", ["olga", "builder", "mallory", "online"])
def test_nobody_but_curators_appoints(world: World, who: str) -> None:
    with pytest.raises(NotEntitledError):
        appoint(world, "mallory", by=(who,))
    assert appointed(world) == [PACKAGES]


def test_the_key_of_another_repository_signs(world: World, tmp_path: Path) -> None:
    appoint(world, "mallory")
    world.publish()
    before = versions(world)
    build = make_build(tmp_path / "build", {"demo": "1.0"})
    with pytest.raises((ThresholdError, NotEntitledError)):
        publish(world, build, keys=keys_of(world, builder="mallory"))
    assert versions(world) == before
    with snapshot(world.repository.engine) as session:
        assert published_index(world.repository, session, PACKAGES) is None


def test_one_key_is_not_appointed_twice(world: World) -> None:
    with pytest.raises(ConflictError, match="builds FreeBSD:14:amd64/latest already"):
        appoint(world, "builder")


def test_another_key_under_a_waiting_appointment_is_not_signed(world: World) -> None:
    """The second curator names the key that the builder gave, not the one that the first curator proposed."""
    new_key(world.folder / "people", HolderName("carol"), passphrase=PASSPHRASE, cost=CHEAP)
    appoint(world, "mallory", by=("alice",))
    with pytest.raises(WrongSubjectError, match="another key is proposed"):
        appoint(world, "carol", by=("bob",))
    with transaction(world.repository.engine) as session:
        drop_builder(session, OTHER)
    assert not appoint(world, "carol", by=("bob",)).complete  # alice's signature is gone with what she signed


@pytest.mark.parametrize("who", ["alice", "olga", "online", "root-1"])
def test_a_key_that_does_something_else_builds_nothing(world: World, who: str) -> None:
    """It would lie on a build host: whoever takes that over would sign skills, profiles or snapshots too."""
    before = versions(world)
    with pytest.raises(ConflictError, match="signs"):
        appoint(world, who)
    assert (versions(world), appointed(world)) == (before, [PACKAGES])


# --- a proposal that appoints a builder, and does more --------------------------------------------


def adds_a_target(targets: Targets) -> None:
    targets.targets["revocations.json"] = TargetFile.from_data("revocations.json", b"{}", ["sha256"])


def lowers_the_threshold(targets: Targets) -> None:
    roles_of(targets)[SKILLS].threshold = 1


def appoints_a_curator(targets: Targets) -> None:
    roles_of(targets)[SKILLS].keyids.append(roles_of(targets)[OTHER.role].keyids[0])


def replaces_the_operators(targets: Targets) -> None:
    roles_of(targets)[PROFILES].keyids[:] = roles_of(targets)[OTHER.role].keyids


def takes_the_list_of_vulnerabilities(targets: Targets) -> None:
    roles_of(targets)[ADVISORIES].keyids[:] = roles_of(targets)[OTHER.role].keyids


def delegates_another_path(targets: Targets) -> None:
    roles_of(targets)[OTHER.role].paths = ["skills/*/*/*"]


def delegates_a_path_more(targets: Targets) -> None:
    (roles_of(targets)[OTHER.role].paths or []).append(PACKAGES.index_path)


def delegates_by_digest(targets: Targets) -> None:
    role = roles_of(targets)[OTHER.role]
    role.paths, role.path_hash_prefixes = None, [""]


def appoints_a_second_repository(targets: Targets) -> None:
    role = roles_of(targets)[OTHER.role]
    third = PackageRepo.parse("FreeBSD:13:amd64/latest")
    roles_of(targets)[third.role] = DelegatedRole(
        third.role, list(role.keyids), 1, terminating=True, paths=[third.index_path]
    )


def takes_the_other_repository(targets: Targets) -> None:
    roles_of(targets)[PACKAGES.role].keyids[:] = roles_of(targets)[OTHER.role].keyids


def dismisses_the_other_builder(targets: Targets) -> None:
    del roles_of(targets)[PACKAGES.role]


def does_not_terminate(targets: Targets) -> None:
    roles_of(targets)[OTHER.role].terminating = False


def lives_for_ever(targets: Targets) -> None:
    targets.expires = targets.expires.replace(year=targets.expires.year + 20)


def ends_at_once(targets: Targets) -> None:
    targets.expires = (now() - timedelta(days=1)).replace(microsecond=0)


def skips_a_version(targets: Targets) -> None:
    targets.version += 1


def names_a_key_after_somebody_else(targets: Targets) -> None:
    assert targets.delegations is not None
    key = targets.delegations.keys[roles_of(targets)[PROFILES].keyids[0]]
    key.unrecognized_fields["holder"] = "alice"


def changes_the_order(targets: Targets) -> None:
    """Earlier roles are asked first: the order of delegations is theirs by meaning."""
    assert targets.delegations is not None
    roles = dict(reversed(roles_of(targets).items()))
    targets.delegations.roles = roles


def says_something_else(targets: Targets) -> None:
    targets.unrecognized_fields["x-note"] = "trust me"


def roles_of(targets: Targets) -> dict[str, DelegatedRole]:
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    return targets.delegations.roles


MORE = [
    adds_a_target,
    lowers_the_threshold,
    appoints_a_curator,
    replaces_the_operators,
    takes_the_list_of_vulnerabilities,
    delegates_another_path,
    delegates_a_path_more,
    delegates_by_digest,
    appoints_a_second_repository,
    takes_the_other_repository,
    dismisses_the_other_builder,
    does_not_terminate,
    lives_for_ever,
    ends_at_once,
    skips_a_version,
    names_a_key_after_somebody_else,
    changes_the_order,
    says_something_else,
]


@pytest.mark.parametrize("more", MORE, ids=lambda change: change.__name__)
def test_an_appointment_that_does_more_is_neither_signed_nor_published(
    world: World, more: Callable[[Targets], None]
) -> None:
    appoint(world, "mallory", by=("alice",))
    rewrite(world, more)
    before = versions(world)
    with pytest.raises(SkillRepoError) as caught, transaction(world.repository.engine) as session:
        plan_builder(world.repository, session, OTHER, key_of(world, "mallory"), now=now())
    assert isinstance(caught.value, WrongSubjectError | BadSignatureError), caught.value
    # And if both curators' machines had signed it all the same, the repository would not publish it.
    rewrite(world, lambda _: None, sign=("alice", "bob"))
    with pytest.raises(WrongSubjectError):
        world.publish()
    assert versions(world) == before


def rewrite(world: World, change: Callable[[Targets], None], sign: tuple[str, ...] = ()) -> None:
    """What somebody with the database makes of the proposal."""
    with transaction(world.repository.engine) as session:
        row = session.query(ProposalRow).filter_by(subject=f"{KIND}:{OTHER}", state=ProposalState.OPEN).one()
        metadata: Any = parse(row.content, Targets, where=TARGETS)
        change(metadata.signed)
        metadata.signatures.clear()
        for name in sign:
            metadata.sign(world.signers[name], append=True)
        row.content, row.version = render(metadata), metadata.signed.version


# --- a builder's key is replaced -------------------------------------------------------------------


def test_a_replaced_key_signs_nothing_more_and_its_successor_goes_on(world: World, tmp_path: Path) -> None:
    first = publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    old_metadata = (world.public / f"metadata/1.{PACKAGES.role}.json").read_bytes()
    appoint(world, "mallory", repo=PACKAGES)
    assert world.publish().builders == (PACKAGES,)
    before = versions(world)

    build = make_build(tmp_path / "two", {"demo": "1.1"})
    with pytest.raises((ThresholdError, NotEntitledError)):
        publish(world, build, at=later(minutes=1))
    with pytest.raises(SkillRepoError), transaction(world.repository.engine) as session:
        accept_build(world.repository, session, PACKAGES, old_metadata, world.signers["online"], now=now())
    assert versions(world) == before

    outcome = publish(world, build, keys=keys_of(world, builder="mallory"), at=later(minutes=1))
    assert outcome.index.serial == first.index.serial + 1
    assert outcome.index.kept == ()  # whoever had the old key may have put anything there
    assert versions(world)[PACKAGES.role] == 2
    with snapshot(world.repository.engine) as session:
        assert published_index(world.repository, session, PACKAGES) == outcome.index
        vouched_targets(session, PACKAGES.role, anchor=world.anchor)


def test_what_a_dismissed_builder_left_is_vouched_for_by_nobody(world: World, tmp_path: Path) -> None:
    """Until the successor publishes: nothing is drafted from it, and it stands in nobody's way."""
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    first = publish(world, build)
    appoint(world, "mallory", repo=PACKAGES)
    world.publish()
    wanted = {PACKAGES: [first.index.packages[0].name]}
    with snapshot(world.repository.engine) as session:
        assert published_index(world.repository, session, PACKAGES) is None
        with pytest.raises(NotFoundError, match="holds nothing yet"):
            pin_packages(world.repository, session, wanted)
    world.publish_skill("calendar==1.0")
    withdraw(world, "web-search==1.0")
    # The same build, by the successor: not "unchanged", for nobody vouches for it until it is signed again.
    again = publish(world, build, keys=keys_of(world, builder="mallory"), at=later(minutes=1))
    assert (again.state, again.index.serial, again.index.packages) == ("published", 2, first.index.packages)
    with snapshot(world.repository.engine) as session:
        assert pin_packages(world.repository, session, wanted)[0].items[0].pin == first.index.packages[0].pin


def test_the_successor_keeps_nothing_that_the_old_key_put_there(world: World, tmp_path: Path) -> None:
    first = publish(world, make_build(tmp_path / "one", {"demo": "1.0"})).index
    appoint(world, "mallory", repo=PACKAGES)
    world.publish()
    index = replace(
        first, serial=2, created=first.created + timedelta(minutes=1), kept=first.packages, packages=()
    )
    world.repository.blobs.store(index.render())
    with snapshot(world.repository.engine) as session:
        left = continued_alone(world.repository, session, PACKAGES.role)
    target = build_target(PACKAGES.index_path, index.render())
    metadata = next_metadata(left, PACKAGES.role, target, now=now())
    metadata.sign(world.signers["mallory"])
    with (
        pytest.raises(WrongSubjectError, match="keeps what another builder left"),
        transaction(world.repository.engine) as session,
    ):
        accept_build(
            world.repository,
            session,
            PACKAGES,
            render(metadata),
            world.signers["online"],
            now=later(minutes=2),
        )
    assert versions(world)[PACKAGES.role] == 1


def test_a_signature_that_nobody_ever_gave_is_not_an_earlier_holder_s(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    with transaction(world.repository.engine) as session:
        row = session.query(MetadataRow).filter_by(role=PACKAGES.role).one()
        metadata: Any = parse(row.content, Targets, where=PACKAGES.role)
        metadata.signatures.clear()
        metadata.sign(world.signers["mallory"])
        row.content = render(metadata)
    for read in (published_index, continued_index):
        with pytest.raises(BadSignatureError), snapshot(world.repository.engine) as session:
            read(world.repository, session, PACKAGES)


def test_the_successor_goes_on_from_another_host_too(world: World, tmp_path: Path) -> None:
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    with Scene(world, tmp_path / "desk").serving() as scene:
        desk = remote_desk(scene, tmp_path / "host")
        assert publish(world, build, desk=desk).index.serial == 1
        appoint(world, "mallory", repo=PACKAGES)
        world.publish()
        with pytest.raises((ThresholdError, NotEntitledError)):
            publish(world, build, desk=desk, at=later(minutes=1))
        again = publish(world, build, desk=desk, keys=keys_of(world, builder="mallory"), at=later(minutes=1))
    assert (again.state, again.index.serial, again.index.kept) == ("published", 2, ())
    assert versions(world)[PACKAGES.role] == 2
