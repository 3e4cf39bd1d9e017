"""Packages in profiles: altered, incomplete, out of order, vulnerable, withdrawn; at the draft, the signature, the publication."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from repo_server.db.models import ProfileRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.advisories import sign_advisories, take_advisories
from repo_server.publishing import withdrawals
from repo_server.publishing.profile_packages import check_vulnerabilities, pin_packages
from repo_server.publishing.profiles import draft_profile, load_profile, sign_profile
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    NotFoundError,
    QuarantinedError,
    RevokedError,
    SkillRepoError,
    VulnerableError,
    WrongSubjectError,
    YankedError,
)
from signing.format.digest import Sha256
from signing.format.names import HolderName, Pin
from signing.format.pkg.names import PackageName, PackageRepo, PackageVersion
from signing.format.pkg.pins import PackagePins, PinnedPackage, VulnerabilityWaiver
from signing.format.profile import Profile
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawn
from tests.support.packages import HARMLESS, VULNERABLE, waiver
from tests.support.publishing import copy_fixture, make_build, publish
from tests.support.withdrawing import sign as sign_list
from tests.support.world import PACKAGES, World, now

BOAT = Pin.parse("boat==1")
VID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def stocked(world: World, tmp_path: Path) -> World:
    """demo-base 1.0.0, which demo-agent 1.2.1_1 needs; and a list of vulnerabilities that does not speak of them."""
    publish(world, copy_fixture(tmp_path / "build"))
    advise(world, HARMLESS)
    return world


def advise(world: World, data: bytes) -> None:
    with snapshot(world.repository.engine) as session:
        metadata = sign_advisories(world.repository, session, data, world.signers["alice"], now=now())
    take_advisories(world.repository, metadata, data, world.signers["online"], now=now())


def pinned(world: World, *names: str, repo: PackageRepo = PACKAGES) -> tuple[PackagePins, ...]:
    with snapshot(world.repository.engine) as session:
        return pin_packages(world.repository, session, {repo: [PackageName(name) for name in names]})


def draft(
    world: World,
    packages: Sequence[PackagePins],
    *waivers: VulnerabilityWaiver,
    pin: Pin = BOAT,
    at: datetime | None = None,
) -> Profile:
    with transaction(world.repository.engine) as session:
        return draft_profile(
            world.repository,
            session,
            pin,
            skills=[Pin.parse("web-search==1.0")],
            souls=[],
            capabilities=[],
            packages=packages,
            waivers=waivers,
            now=at or now(),
        )


def sign(world: World, *, pin: Pin = BOAT, at: datetime | None = None) -> None:
    with transaction(world.repository.engine) as session:
        sign_profile(world.repository, session, pin, world.signers["olga"], now=at or now())


def is_drafted(world: World) -> bool:
    with snapshot(world.repository.engine) as session:
        return session.get(ProfileRow, ("boat", "1")) is not None


def is_published(world: World) -> bool:
    return any((world.public / "targets/profiles").glob("boat/*.1.json"))


def test_a_package_is_pinned_with_all_that_it_needs_in_order(stocked: World) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    assert [str(item.pin) for item in pins.items] == ["demo-base-1.0.0", "demo-agent-1.2.1_1"]
    draft(stocked, [pins])
    sign(stocked)
    stocked.publish()
    assert is_published(stocked)
    with snapshot(stocked.repository.engine) as session:
        assert load_profile(stocked.repository, session, BOAT).packages == (pins,)


def test_what_is_not_built_is_not_pinned(stocked: World) -> None:
    with pytest.raises(NotFoundError, match="package nowhere"):
        pinned(stocked, "nowhere")
    with pytest.raises(NotFoundError, match="holds nothing yet"):
        pinned(stocked, "demo-agent", repo=PackageRepo.parse("FreeBSD:15:amd64/latest"))


def test_two_repositories_of_one_machine(stocked: World) -> None:
    other = PackageRepo.parse("FreeBSD:14:amd64/quarterly")
    wanted = {PACKAGES: [PackageName("demo-agent")], other: [PackageName("demo-agent")]}
    with (
        snapshot(stocked.repository.engine) as session,
        pytest.raises(WrongSubjectError, match="two repositories"),
    ):
        pin_packages(stocked.repository, session, wanted)


# --- a list that is not what the builder signed ----------------------------------------------------


def incomplete(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    return items[1:]


def out_of_order(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    return items[::-1]


def other_bytes(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    return (items[0], replace(items[1], sha256=Sha256("0" * 64)))


def other_name(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    """The right bytes under a name of which no advisory and no revocation speaks."""
    return (items[0], replace(items[1], pin=replace(items[1].pin, name=PackageName("harmless"))))


def other_version(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    return (items[0], replace(items[1], pin=replace(items[1].pin, version=PackageVersion("9.9"))))


def exchanged(items: tuple[PinnedPackage, ...]) -> tuple[PinnedPackage, ...]:
    one, other = items
    return (replace(one, sha256=other.sha256), replace(other, sha256=one.sha256))


SPOILED = [incomplete, out_of_order, other_bytes, other_name, other_version, exchanged]


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_an_altered_list_is_not_drafted(
    stocked: World, spoil: Callable[..., tuple[PinnedPackage, ...]]
) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    with pytest.raises((WrongSubjectError, FormatError)):
        draft(stocked, [replace(pins, items=spoil(pins.items))])
    assert not is_drafted(stocked)


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_draft_that_was_altered_is_neither_signed_nor_published(
    stocked: World, spoil: Callable[..., tuple[PinnedPackage, ...]]
) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    profile = draft(stocked, [pins])
    sign(stocked)
    altered = replace(profile, packages=(replace(pins, items=spoil(pins.items)),))
    with transaction(stocked.repository.engine) as session:
        digest = stocked.repository.blobs.store(altered.render())
        session.get_one(ProfileRow, ("boat", "1")).sha256 = digest
    with pytest.raises((WrongSubjectError, FormatError)):
        sign(stocked)
    with pytest.raises((WrongSubjectError, FormatError)):
        stocked.publish()
    assert not is_published(stocked)


def test_a_package_that_left_the_index_before_the_signature(stocked: World, tmp_path: Path) -> None:
    draft(stocked, pinned(stocked, "demo-agent"))
    for step, version in enumerate(
        ("1.0", "1.1"), 1
    ):  # what was listed until a moment ago is kept by the first
        build = make_build(tmp_path / version, {"other": version})
        publish(stocked, build, at=now() + timedelta(minutes=step), grace=timedelta(0))
    with pytest.raises(WrongSubjectError, match="is not what the builder"):
        sign(stocked, at=now() + timedelta(minutes=3))


# --- vulnerable ------------------------------------------------------------------------------------


@pytest.fixture
def vulnerable(stocked: World) -> World:
    advise(stocked, VULNERABLE.replace(b"<lt>1.2.1_1</lt>", b"<le>1.2.1_1</le>"))
    return stocked


def test_a_vulnerable_pin_is_refused_at_the_draft(vulnerable: World) -> None:
    with pytest.raises(VulnerableError, match=VID) as caught:
        draft(vulnerable, pinned(vulnerable, "demo-agent"))
    assert caught.value.facts["vulnerabilities"] == [
        f"demo-agent-1.2.1_1: demo-agent -- test vulnerability ({VID})"
    ]
    assert not is_drafted(vulnerable)
    draft(vulnerable, pinned(vulnerable, "demo-base"))


def test_a_vulnerability_that_became_known_after_the_draft(stocked: World) -> None:
    draft(stocked, pinned(stocked, "demo-agent"))
    advise(stocked, VULNERABLE.replace(b"<lt>1.2.1_1</lt>", b"<le>1.2.1_1</le>"))
    with pytest.raises(VulnerableError):
        sign(stocked)


def test_a_vulnerability_that_became_known_after_the_signature(stocked: World) -> None:
    draft(stocked, pinned(stocked, "demo-agent"))
    sign(stocked)
    advise(stocked, VULNERABLE.replace(b"<lt>1.2.1_1</lt>", b"<le>1.2.1_1</le>"))
    with pytest.raises(VulnerableError):
        stocked.publish()
    assert not is_published(stocked)


def test_a_waiver_lets_it_in_until_it_ends(vulnerable: World) -> None:
    given = waiver("demo-agent-1.2.1_1", VID, until=timedelta(hours=1))
    profile = draft(vulnerable, pinned(vulnerable, "demo-agent"), given)
    with snapshot(vulnerable.repository.engine) as session:
        assert check_vulnerabilities(vulnerable.repository, session, profile, now=now()) == [given]
    later = now() + timedelta(hours=2)
    with pytest.raises(VulnerableError):
        sign(vulnerable, at=later)
    sign(vulnerable)
    with pytest.raises(VulnerableError):
        vulnerable.publish(at=later)
    assert not is_published(vulnerable)
    vulnerable.publish()
    assert is_published(vulnerable)


@pytest.mark.parametrize(
    "given",
    [
        waiver("demo-agent-1.2.1", VID),
        waiver("demo-base-1.0.0", VID),
        waiver("demo-agent-1.2.1_1", "22222222-2222-3333-4444-555555555555"),
        waiver("demo-agent-1.2.1_1", VID, until=timedelta(0)),
    ],
    ids=["another-version", "another-package", "another-advisory", "ended"],
)
def test_a_waiver_for_something_else_waives_nothing(vulnerable: World, given: VulnerabilityWaiver) -> None:
    with pytest.raises(VulnerableError):
        draft(vulnerable, pinned(vulnerable, "demo-agent"), given)
    assert not is_drafted(vulnerable)


@pytest.mark.parametrize("part", ["owner", "reason"])
@pytest.mark.parametrize("value", ["", "  \n"], ids=["empty", "blank"])
def test_a_waiver_that_nobody_answers_for(part: str, value: str) -> None:
    with pytest.raises(FormatError, match="somebody must answer"):
        replace(waiver("demo-agent-1.2.1_1", VID), **{part: value})


def test_without_a_list_of_vulnerabilities_no_package_is_pinned(world: World, tmp_path: Path) -> None:
    publish(world, copy_fixture(tmp_path / "build"))
    with pytest.raises(CouldNotVerifyError, match="no list of vulnerabilities"):
        draft(world, pinned(world, "demo-agent"))
    assert not is_drafted(world)
    draft(world, [])  # skills need none


# --- withdrawn -------------------------------------------------------------------------------------


def withdraw(world: World, scope: Scope, state: Withdrawn) -> None:
    with transaction(world.repository.engine) as session:
        drafted = withdrawals.draft_withdrawal(
            world.repository,
            session,
            scope,
            state=state,
            severity=Harm.HIGH if state is Withdrawn.REVOKED else None,
            reason="phones home",
            by=HolderName("bob"),
            now=now(),
        )
    sign_list(world, drafted, by="bob")
    world.publish()


REFUSALS: dict[Withdrawn, type[SkillRepoError]] = {
    Withdrawn.REVOKED: RevokedError,
    Withdrawn.QUARANTINED: QuarantinedError,
    Withdrawn.YANKED: YankedError,
}


@pytest.mark.parametrize("state", list(Withdrawn), ids=lambda state: state.value)
@pytest.mark.parametrize("how", ["name", "version", "digest"])
def test_what_is_withdrawn_is_not_taken_up(stocked: World, state: Withdrawn, how: str) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    item = pins.items[0]
    withdraw(stocked, scope_of(item, how), state)
    with pytest.raises(REFUSALS[state], match=r"demo-base-1\.0\.0 is"):
        draft(stocked, [pins])
    assert not is_drafted(stocked)


def scope_of(item: PinnedPackage, how: str) -> Scope:
    return {
        "name": Scope(package=item.pin.name),
        "version": Scope(package=item.pin.name, package_version=item.pin.version),
        "digest": Scope(sha256=item.sha256),
    }[how]


@pytest.mark.parametrize("state", list(Withdrawn), ids=lambda state: state.value)
def test_what_is_withdrawn_after_the_draft_is_not_signed(stocked: World, state: Withdrawn) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    draft(stocked, [pins])
    withdraw(stocked, scope_of(pins.items[0], "name"), state)
    with pytest.raises(REFUSALS[state]):
        sign(stocked)


def test_another_version_s_withdrawal_is_none_of_ours(stocked: World) -> None:
    withdraw(
        stocked,
        Scope(package=PackageName("demo-base"), package_version=PackageVersion("0.9")),
        Withdrawn.REVOKED,
    )
    draft(stocked, pinned(stocked, "demo-agent"))
    assert is_drafted(stocked)


def test_a_profile_that_pinned_it_before_the_yank_goes_on(stocked: World) -> None:
    (pins,) = pinned(stocked, "demo-agent")
    draft(stocked, [pins])
    sign(stocked)
    stocked.publish()
    withdraw(stocked, scope_of(pins.items[0], "name"), Withdrawn.YANKED)
    with snapshot(stocked.repository.engine) as session:
        (entry,) = withdrawals.published_list(stocked.repository, session).entries
        assert [str(kept.pin) for kept in entry.kept_by] == ["boat==1"]
    with pytest.raises(YankedError):
        draft(stocked, [pins], pin=Pin.parse("boat==2"))
