"""What the accepting side knows and a builder does not say: revoked keys, collected serials, lists that ended, full disks."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.db.models import PackageSerialRow, ProfileRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo import uploads as uploading
from repo_server.pkgrepo.advisories import published_advisories, sign_advisories, take_advisories
from repo_server.pkgrepo.collecting import collect
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, load_anchors, write_anchors
from repo_server.pkgrepo.places import fingerprints_folder
from repo_server.pkgrepo.rolling_back import plan_rollback
from repo_server.pkgrepo.uploads import Uploads
from repo_server.publishing.profile_packages import check_vulnerabilities, pin_packages
from signing.errors import ConflictError, CouldNotVerifyError, NotEntitledError, NotFoundError, RevokedError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.names import PackageName
from signing.format.profile import Profile
from tests.attacks.test_pkg_advisories import FEED
from tests.support.handing_in import ready, refused, state_of
from tests.support.publishing import keys_of, later, local_desk, make_build, publish
from tests.support.world import PACKAGES, World, now


def revoke(world: World, fingerprint: str) -> Path:
    """As an operator does for the clients: the fingerprint moves to revoked/ in what is offered to them."""
    folder = fingerprints_folder(world.repository.pkg_root, PACKAGES)
    known = load_anchors(folder)
    gone = frozenset({item for item in known.trusted if item == fingerprint})
    write_anchors(folder, FingerprintAnchors(trusted=known.trusted - gone, revoked=known.revoked | gone))
    return folder


def test_a_build_signed_with_a_key_that_clients_were_told_to_refuse(world: World, tmp_path: Path) -> None:
    """Every client with the revocation would refuse all that is served, other signatures or not."""
    first = publish(world, make_build(tmp_path / "one", {"demo": "1.0"})).index
    index = ready(world, tmp_path / "two", {"demo": "1.1"}, keys=keys_of(world, pkg=("rsa-a", "rsa-b")))
    folder = revoke(world, first.fingerprints[0])
    refused(world, RevokedError, "revoked", index)
    with pytest.raises(RevokedError):
        publish(world, make_build(tmp_path / "two", {"demo": "1.1"}), at=later(minutes=2))
    assert state_of(world).serials == (1,)
    next_one = publish(
        world,
        make_build(tmp_path / "two", {"demo": "1.1"}),
        keys=keys_of(world, pkg=("rsa-b",)),
        at=later(minutes=2),
    )
    assert next_one.index.serial == 2
    assert load_anchors(folder).revoked == set(first.fingerprints)
    # The way back leads to catalogues that the revoked key signed: it is shut, whatever the intent.
    plan = plan_rollback(
        local_desk(world),
        PACKAGES,
        keys_of(world, pkg=()),
        to=1,
        reason="1.1 is worse",
        clock=lambda: later(minutes=3),
    )
    refused(world, RevokedError, "revoked", plan.index, at=later(minutes=3))


def test_a_rollback_to_a_serial_that_was_collected(world: World, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        publish(world, make_build(tmp_path / str(number), {"demo": f"1.{number}"}), grace=timedelta(0))
    with transaction(world.repository.engine) as session:
        session.get_one(PackageSerialRow, (str(PACKAGES), 1)).published_at = now() - timedelta(days=99)
    garbage = collect(world.repository, at_least=1, now=now())
    assert [serial for _, serial in garbage.serials] == [1]
    before = state_of(world)
    with pytest.raises(NotFoundError, match="serial 1"):
        plan_rollback(local_desk(world), PACKAGES, keys_of(world, pkg=()), to=1, reason="x", clock=now)
    assert state_of(world) == before
    plan = plan_rollback(local_desk(world), PACKAGES, keys_of(world, pkg=()), to=2, reason="x", clock=now)
    lost = next(item for item in plan.index.packages if item.name == "demo")
    world.repository.package_blobs.remove(lost.sha256)
    refused(world, NotFoundError, "not here", plan.index)


def test_a_frozen_list_of_vulnerabilities_answers_for_nothing(world: World, tmp_path: Path) -> None:
    """Whoever holds newer lists back would have a profile signed against holes of last month."""
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    with snapshot(world.repository.engine) as session:
        metadata = sign_advisories(world.repository, session, FEED, world.signers["alice"], now=now())
    take_advisories(world.repository, metadata, FEED, world.signers["online"], now=now())
    ended = later(days=40)
    with snapshot(world.repository.engine) as session:
        pins = pin_packages(world.repository, session, {PACKAGES: [PackageName("demo")]})
        row = session.get_one(ProfileRow, ("base", "1"))
        profile = replace(Profile.parse(world.repository.blobs.load(Sha256(row.sha256))), packages=pins)
        assert check_vulnerabilities(world.repository, session, profile, now=now()) == []
        with pytest.raises(CouldNotVerifyError, match="still holds"):
            check_vulnerabilities(world.repository, session, profile, now=ended)
        assert published_advisories(world.repository, session, holding_at=ended) is None
        assert published_advisories(world.repository, session) is not None
    standing = local_desk(world).standing(PACKAGES, since=now(), now=ended)
    assert standing.advisories is None


# --- the disk --------------------------------------------------------------------------------------

DATA = b"x" * 100


def test_files_without_end_fit_into_no_quota_of_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million files of one byte are a megabyte, and every name that the disk has."""
    monkeypatch.setattr(uploading, "MAX_FILES", 3)
    uploads = Uploads(repository=world.repository)
    for number in range(3):
        one = bytes([number])
        uploads.receive("t1", sha256_of(one), 1, offset=0, pieces=[one], now=now())
    for moment in (now(), later(minutes=5)):  # counted on, and counted anew
        with pytest.raises(NotEntitledError, match="3 files"):
            uploads.receive("t1", sha256_of(b"more"), 4, offset=0, pieces=[b"more"], now=moment)
    assert world.repository.package_blobs.size_of(sha256_of(b"more")) is None
    uploads.receive(
        "t2", sha256_of(b"more"), 4, offset=0, pieces=[b"more"], now=now()
    )  # another's is untouched
    uploads.published("t1")
    uploads.receive("t1", sha256_of(b"again"), 5, offset=0, pieces=[b"again"], now=now())


@pytest.mark.parametrize("end", ["completed", "forgotten"])
def test_two_requests_for_one_file_of_which_one_ends_while_the_other_opens_it(
    world: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The second would write into a file that has another name by now, or none, and report a fault of ours."""
    uploads = Uploads(repository=world.repository)
    digest = sha256_of(DATA)
    opened = os.open

    def slow(path: object, *arguments: int, **options: int) -> int:
        descriptor = opened(path, *arguments, **options)  # type: ignore[arg-type]
        if str(path).endswith(f"{digest}.{len(DATA)}") and not done:
            done.append(True)
            part = Path(str(path))
            if end == "completed":
                part.rename(part.with_name(part.name + ".done"))
            else:
                part.unlink()
        return descriptor

    done: list[bool] = []
    monkeypatch.setattr(uploading.os, "open", slow)
    with pytest.raises(ConflictError, match="another request"):
        uploads.receive("t1", digest, len(DATA), offset=0, pieces=[DATA], now=now())
    assert world.repository.package_blobs.size_of(digest) is None
    assert uploads.receive("t1", digest, len(DATA), offset=0, pieces=[DATA], now=now()) == len(DATA)
    assert world.repository.blobs.load(digest) == DATA
