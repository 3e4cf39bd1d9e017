"""A builder's key signs what is not consistent, not newer, not here, or not its own: nothing of it is published."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import DelegatedRole, Delegations, TargetFile, Targets

from repo_server.db import log
from repo_server.db.models import MetadataRow, PackageDigestRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.accepting import accept_build
from repo_server.publishing import withdrawals
from signing.errors import (
    BadSignatureError,
    ConflictError,
    FormatError,
    NotFoundError,
    QuarantinedError,
    RevokedError,
    RollbackError,
    ThresholdError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.names import HolderName, parse_skill_name
from signing.format.pkg.index import Intent, IntentKind, RepoIndex
from signing.format.pkg.names import PackageName, PackageRepo, PackageVersion
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawn
from tests.support.handing_in import hand_in, ready, refused, state_of
from tests.support.publishing import make_build, publish
from tests.support.withdrawing import sign as sign_list
from tests.support.world import PACKAGES, World, now


@pytest.fixture
def first(world: World, tmp_path: Path) -> RepoIndex:
    """Serial 1: demo 1.0 and base 2.0."""
    return publish(world, make_build(tmp_path / "first", {"demo": "1.0", "base": "2.0"})).index


@pytest.fixture
def second(world: World, first: RepoIndex, tmp_path: Path) -> RepoIndex:
    """Serial 2, ready: demo 1.1; demo 1.0 is kept."""
    index = ready(world, tmp_path / "second", {"demo": "1.1", "base": "2.0"})
    assert [str(item.pin) for item in index.kept] == ["demo-1.0"]
    return index


def test_the_honest_one_is_accepted(world: World, second: RepoIndex) -> None:
    accepted = hand_in(world, second)
    assert (accepted.index, accepted.renewed, accepted.role_version) == (second, False, 2)
    assert (accepted.signed_by, state_of(world).serials) == (("builder",), (2, 1))


# --- who signs, and what the metadata says ---------------------------------------------------------


@pytest.mark.parametrize("who", ["alice", "olga", "mallory", "online", "root-1"])
def test_another_key_signs(world: World, second: RepoIndex, who: str) -> None:
    refused(world, ThresholdError, "0 of 1", second, by=who)


def test_nobody_signs(world: World, second: RepoIndex) -> None:
    refused(world, ThresholdError, "0 of 1", second, by=None)


def names_more(targets: Targets) -> None:
    targets.targets["pkg/vuln.xml"] = TargetFile.from_data("pkg/vuln.xml", b"<vuxml/>", ["sha256"])


def names_another_path(targets: Targets) -> None:
    (target,) = targets.targets.values()
    targets.targets = {"pkg/FreeBSD:15:amd64/latest/repo.json": target}


def names_nothing(targets: Targets) -> None:
    targets.targets = {}


def delegates(targets: Targets) -> None:
    targets.delegations = Delegations({}, {})


def delegates_on(targets: Targets) -> None:
    role = DelegatedRole("more", [], 1, terminating=False, paths=["*"])
    targets.delegations = Delegations({}, {"more": role})


def outlives_our_rule(targets: Targets) -> None:
    targets.expires += timedelta(days=1)


def has_ended(targets: Targets) -> None:
    targets.expires = (now() - timedelta(minutes=1)).replace(microsecond=0)


@pytest.mark.parametrize(
    "change",
    [names_more, names_another_path, names_nothing, delegates, delegates_on, outlives_our_rule, has_ended],
    ids=lambda change: change.__name__,
)
def test_metadata_that_says_something_else(
    world: World, second: RepoIndex, change: Callable[[Targets], None]
) -> None:
    before = state_of(world)
    with pytest.raises((WrongSubjectError, FormatError)):
        hand_in(world, second, change=change)
    assert state_of(world) == before


@pytest.mark.parametrize("step", [-1, 1, 1000])
def test_a_version_that_does_not_follow(world: World, second: RepoIndex, step: int) -> None:
    def count(targets: Targets) -> None:
        targets.version += step

    refused(world, ConflictError, "does not follow", second, change=count)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_length_that_no_client_would_accept(world: World, second: RepoIndex, difference: int) -> None:
    def lie(targets: Targets) -> None:
        next(iter(targets.targets.values())).length += difference

    refused(world, WrongSubjectError, "bytes long", second, change=lie)


def test_an_index_that_is_none(world: World, first: RepoIndex) -> None:
    refused(world, FormatError, None, b"{}")


def test_an_index_that_is_not_here(world: World, second: RepoIndex) -> None:
    def elsewhere(targets: Targets) -> None:
        next(iter(targets.targets.values())).hashes["sha256"] = "0" * 64

    refused(world, NotFoundError, "no blob", second, change=elsewhere)


# --- number, time and place ------------------------------------------------------------------------


@pytest.mark.parametrize("serial", [1, 3, 2**53 - 1])
def test_a_serial_that_is_not_the_next(world: World, second: RepoIndex, serial: int) -> None:
    refused(world, ConflictError, "the next one is 2", replace(second, serial=serial))


def test_the_first_serial_is_one(world: World, tmp_path: Path) -> None:
    index = ready(world, tmp_path / "build", {"demo": "1.0"})
    refused(world, ConflictError, "the next one is 1", replace(index, serial=2))
    refused(world, WrongSubjectError, "that there never were", replace(index, kept=index.packages))


@pytest.mark.parametrize("seconds", [-86400, -1, 0, 2])
def test_a_build_that_is_not_newer(world: World, first: RepoIndex, second: RepoIndex, seconds: int) -> None:
    at = first.created + timedelta(seconds=seconds)
    refused(world, RollbackError, "was made at", replace(second, created=at))


def test_a_build_from_the_future(world: World, second: RepoIndex) -> None:
    at = (now() + timedelta(minutes=15)).replace(microsecond=0)
    refused(world, RollbackError, "in the future", replace(second, created=at))


@pytest.mark.parametrize(
    "other",
    [
        {"repository": "pkg.elsewhere.example"},
        {"repo": PackageRepo.parse("FreeBSD:14:amd64/quarterly")},
    ],
    ids=["another-repository", "another-channel"],
)
def test_the_index_of_another_repository(world: World, second: RepoIndex, other: dict[str, Any]) -> None:
    refused(world, WrongSubjectError, "is an index of", replace(second, **other))


# --- packages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"sha256": sha256_of(b"never published")},
        {"name": PackageName("harmless")},
        {"version": PackageVersion("9.9")},
        {"deps": ()},
        {"size": 1},
        {"origin": "misc/other"},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_a_kept_package_that_was_never_published_like_that(
    world: World, first: RepoIndex, second: RepoIndex, lie: dict[str, Any]
) -> None:
    """Under another name it would escape the revocation of its own."""
    (kept,) = second.kept
    if lie == {"deps": ()}:
        lie = {"deps": (first.packages[0].pin,)}
    altered = replace(second, kept=(replace(kept, **lie),))
    refused(world, WrongSubjectError, "which serial 1 does not hold", altered)


def test_a_version_that_goes_back_unless_it_is_meant(world: World, first: RepoIndex, tmp_path: Path) -> None:
    meant = ready(world, tmp_path / "older", {"demo": "0.9", "base": "2.0"}, downgrade="1.0 loses data")
    assert meant.intent is not None
    refused(world, RollbackError, "demo-1.0 -> 0.9", replace(meant, intent=None))
    accepted = hand_in(world, meant)
    assert accepted.index.intent == Intent(
        kind=IntentKind.DOWNGRADE, by="builder", reason="1.0 loses data", serial=meant.intent.serial
    )
    with snapshot(world.repository.engine) as session:
        facts = log.read(session)[-1].facts
    assert facts["intent"]["reason"] == "1.0 loses data"


@pytest.mark.parametrize("what", ["package", "catalogue"])
def test_bytes_that_are_not_here(world: World, second: RepoIndex, what: str) -> None:
    digest = next(
        item.sha256
        for item in (second.packages if what == "package" else second.catalogue)
        if getattr(item, "version", "1.1") == "1.1" and item.size > 100
    )
    Path(world.repository.package_blobs.path_of(digest)).unlink()
    refused(world, NotFoundError, "1 file.s. are not here", second)


@pytest.mark.parametrize("difference", [-1, 1])
@pytest.mark.parametrize("what", ["packages", "kept", "catalogue"])
def test_bytes_of_another_size(world: World, second: RepoIndex, what: str, difference: int) -> None:
    items = list(getattr(second, what))
    items[0] = replace(items[0], size=items[0].size + difference)
    before = state_of(world)
    with pytest.raises((NotFoundError, WrongSubjectError)):
        hand_in(world, replace(second, **{what: tuple(items)}))
    assert state_of(world) == before


def test_a_package_that_the_catalogue_does_not_list(world: World, second: RepoIndex) -> None:
    """pkg would install what the index of births does not know, or the other way round."""
    refused(world, VerificationError, None, replace(second, packages=second.packages[:1], kept=()))
    more = sorted((*second.packages, *second.kept), key=lambda item: (item.name, item.version, item.sha256))
    refused(world, VerificationError, None, replace(second, packages=tuple(more), kept=()))


def test_a_catalogue_under_other_signatures_than_the_index_names(world: World, second: RepoIndex) -> None:
    refused(
        world, VerificationError, None, replace(second, fingerprints=(sha256_of(b"another certificate"),))
    )
    refused(world, VerificationError, None, replace(second, fingerprints=()))


def test_bytes_that_were_exchanged_on_disk(world: World, second: RepoIndex) -> None:
    index = replace(second, serial=2)
    package = next(item for item in index.packages if item.version == "1.1")
    with transaction(world.repository.engine) as session:
        row = session.get(PackageDigestRow, package.sha256)
        if row is not None:
            session.delete(row)
    path = Path(world.repository.package_blobs.path_of(package.sha256))
    path.chmod(0o600)
    path.write_bytes(b"x" * package.size)
    refused(world, WrongSubjectError, "damaged on disk", index)


# --- what is withdrawn -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("how", ["name", "version", "digest"])
@pytest.mark.parametrize("state", [Withdrawn.REVOKED, Withdrawn.QUARANTINED], ids=lambda state: state.value)
def test_a_build_that_lists_what_is_withdrawn(
    world: World, second: RepoIndex, how: str, state: Withdrawn
) -> None:
    package = next(item for item in second.packages if item.name == "demo")
    scope = {
        "name": Scope(package=package.name),
        "version": Scope(package=package.name, package_version=package.version),
        "digest": Scope(sha256=package.sha256),
    }[how]
    withdraw(world, scope, state)
    error = RevokedError if state is Withdrawn.REVOKED else QuarantinedError
    refused(world, error, "phones home", second)


def test_a_build_that_keeps_what_is_revoked(world: World, second: RepoIndex) -> None:
    (kept,) = second.kept
    withdraw(world, Scope(sha256=kept.sha256), Withdrawn.REVOKED)
    refused(world, RevokedError, "demo-1.0 is revoked", second)


def test_what_is_yanked_may_still_be_listed(world: World, second: RepoIndex) -> None:
    withdraw(world, Scope(package=PackageName("demo")), Withdrawn.YANKED)
    assert hand_in(world, second).index == second


def test_a_skill_s_withdrawal_is_not_a_package_s(world: World, second: RepoIndex) -> None:
    """One name, two kinds: what is said of one is not said of the other."""
    withdraw(world, Scope(name=parse_skill_name("demo")), Withdrawn.REVOKED)
    assert hand_in(world, second).index == second


# --- renewal ---------------------------------------------------------------------------------------


def test_the_same_index_again_renews_it(world: World, first: RepoIndex) -> None:
    before = state_of(world)
    accepted = hand_in(world, first)
    assert (accepted.renewed, accepted.role_version, accepted.index) == (True, 2, first)
    after = state_of(world)
    assert (after.serials, after.index) == (before.serials, first)
    with snapshot(world.repository.engine) as session:
        last = log.read(session)[-1]
    assert (last.event, last.facts["serial"], last.facts["signed_by"]) == ("packages.renewed", 1, ["builder"])


def test_old_metadata_is_not_published_again(world: World, first: RepoIndex) -> None:
    old = (world.public / f"metadata/1.{PACKAGES.role}.json").read_bytes()
    before = state_of(world)
    with pytest.raises(ConflictError), transaction(world.repository.engine) as session:
        accept_build(world.repository, session, PACKAGES, old, world.signers["online"], now=now())
    assert state_of(world) == before


def test_an_altered_database_does_not_choose_what_is_continued(world: World, first: RepoIndex) -> None:
    """The present state is read as its builder signed it: nobody makes it look older for the next build."""
    with transaction(world.repository.engine) as session:
        row = session.query(MetadataRow).filter_by(role=PACKAGES.role).one()
        row.content = row.content.replace(b'"version":1', b'"version":7')
    with pytest.raises(BadSignatureError):
        hand_in(world, first)
