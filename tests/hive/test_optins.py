"""Opt-ins: the free tier's consent to exact bytes, with owner, reason and end; renewed, withdrawn, kept."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hive import audit, optins
from hive.db.session import snapshot, transaction
from hive.external import OptIn, read_external
from hive.tenants import Tier
from signing.errors import DigestMismatchError, FormatError, NotFirstPartyError, NotFoundError, UsageError
from signing.format.names import Pin, parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World, jail_files, now, skill_md

FREE = parse_tenant_id("free")
PIN = "csv-summarizer==1.0.1"


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        scene.register("free", tier=Tier.FREE)
        yield scene


@pytest.fixture
def data(scene: Scene) -> bytes:
    return scene.forge().archive(PIN)[1]


def consent(data: bytes, **other) -> OptIn:
    external = read_external(data)
    given = {
        "tenant_id": FREE,
        "source": "clawhub:@northwind-tools/csv-summarizer@1.0.1",
        "pin": external.pin,
        "bundle_sha256": external.sha256,
        "owner": "olga",
        "reason": "wanted",
        "expires_at": now() + timedelta(days=30),
    }
    return OptIn(**{**given, **other})


def add(scene: Scene, data: bytes, tenant: str = "free", **other) -> None:
    with transaction(scene.mother.engine) as session:
        optins.add(
            session,
            scene.mother.external_dir,
            scene.tenant(tenant),
            data,
            opt_in=consent(data, **other),
            now=now(),
        )


def kept(scene: Scene) -> list[OptIn]:
    with snapshot(scene.mother.engine) as session:
        return optins.load(session, FREE)


def test_a_consent_is_kept_with_its_bytes(scene: Scene, data: bytes) -> None:
    add(scene, data)
    (opt_in,) = kept(scene)
    assert opt_in == consent(data, expires_at=opt_in.expires_at)
    assert optins.load_bundle(scene.mother.external_dir, opt_in).pin == Pin.parse(PIN)
    file = scene.mother.external_dir / opt_in.bundle_sha256
    assert file.read_bytes() == data
    assert file.stat().st_mode & 0o777 == 0o400
    record = scene.events("free")[-1]
    assert record.event == "optin.added"
    assert (record.facts["owner"], record.facts["risk"]) == ("olga", "operator's own risk")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"owner": " "}, UsageError),
        ({"reason": ""}, UsageError),
        ({"expires_at": now() - timedelta(seconds=1)}, UsageError),
    ],
)
def test_a_consent_without_owner_reason_or_end(
    scene: Scene, data: bytes, other: dict, expected: type
) -> None:
    with pytest.raises(expected):
        add(scene, data, **other)
    assert kept(scene) == []
    assert not scene.mother.external_dir.exists()


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: b"", lambda d: b"PK\x03\x04" + d, lambda d: d + b"\0"]
)
def test_bytes_that_are_no_bundle(scene: Scene, data: bytes, change) -> None:
    with transaction(scene.mother.engine) as session, pytest.raises(FormatError):
        optins.add(
            session,
            scene.mother.external_dir,
            scene.tenant("free"),
            change(data),
            opt_in=consent(data),
            now=now(),
        )
    assert kept(scene) == []


def test_the_paid_tier_has_no_consent(scene: Scene, data: bytes) -> None:
    with pytest.raises(NotFirstPartyError):
        add(scene, data, tenant="acme")
    assert not scene.mother.external_dir.exists()


def test_a_withdrawn_consent_is_none(scene: Scene, data: bytes) -> None:
    add(scene, data)
    with transaction(scene.mother.engine) as session:
        assert optins.withdraw(session, scene.tenant("free"), Pin.parse(PIN), now=now()) == 1
    assert kept(scene) == []
    assert scene.born("free")["own_risk"] == []
    assert not [path for path in jail_files(scene.mother) if "csv" in path]
    with transaction(scene.mother.engine) as session, pytest.raises(NotFoundError):
        optins.withdraw(session, scene.tenant("free"), Pin.parse(PIN), now=now())
    with snapshot(scene.mother.engine) as session:
        audit.check(session)


def test_an_ended_consent_can_be_renewed(scene: Scene, data: bytes) -> None:
    """The refusal says "renew it (hive optin add)"; so that has to help."""
    add(scene, data, expires_at=now() + timedelta(minutes=1))
    scene.at(now() + timedelta(minutes=2))
    with pytest.raises(NotFirstPartyError) as caught:
        scene.born("free")
    assert "hive optin add" in caught.value.hint
    add(scene, data)
    assert scene.born("free")["own_risk"] == [PIN]
    assert len(kept(scene)) == 1


def test_the_same_consent_twice_is_one(scene: Scene, data: bytes) -> None:
    add(scene, data)
    add(scene, data, owner="bob")
    assert [item.owner for item in kept(scene)] == ["bob"]
    assert scene.born("free")["own_risk"] == [PIN]


def test_a_consent_to_new_bytes_ends_the_one_to_the_old(scene: Scene, data: bytes) -> None:
    changed = scene.forge().archive(PIN, {"SKILL.md": skill_md("csv-summarizer", "Other work.")})[1]
    add(scene, data)
    add(scene, changed)
    assert [item.bundle_sha256 for item in kept(scene)] == [read_external(changed).sha256]
    scene.born("free")
    text = next(
        data for path, data in jail_files(scene.mother).items() if path.endswith("csv-summarizer/SKILL.md")
    )
    assert b"Other work." in text


def test_a_lost_bundle_is_not_found_and_nobody_is_born(scene: Scene, data: bytes) -> None:
    add(scene, data)
    next(scene.mother.external_dir.iterdir()).unlink()
    refusal = scene.refused(NotFoundError, name="free")
    assert "hive optin" in refusal.error.hint or "opt in again" in refusal.error.hint


def test_a_damaged_bundle_is_refused(scene: Scene, data: bytes) -> None:
    add(scene, data)
    file = next(scene.mother.external_dir.iterdir())
    file.chmod(0o600)
    file.write_bytes(data[:-30])
    with pytest.raises((FormatError, DigestMismatchError)):
        optins.load_bundle(scene.mother.external_dir, kept(scene)[0])


def test_a_link_in_place_of_the_bundle_is_not_followed(scene: Scene, data: bytes, tmp_path: Path) -> None:
    add(scene, data)
    file = next(scene.mother.external_dir.iterdir())
    (tmp_path / "elsewhere").write_bytes(data)
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    scene.refused(code="unsafe-path", name="free")
