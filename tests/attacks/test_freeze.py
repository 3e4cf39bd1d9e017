"""Freeze: a server that goes on serving a state that was honest once, until nothing new is ever seen.

Every role has an end; past it nothing is admitted. The root and the online roles are judged before anything else
is fetched, the delegated ones before any content is.
"""

from datetime import timedelta

import pytest

from signing.errors import ExpiredError
from tests.attacks.forge import CURATORS, Forge, expire
from tests.attacks.scene import Scene
from tests.support.world import now

BUNDLE = "skills/web-search/1.0/web-search-1.0.tar.gz"


def test_an_expired_timestamp_ends_everything(scene: Scene, forge: Forge) -> None:
    forge.timestamp(expire)
    forge.answer(scene.server)
    refusal = scene.refused(ExpiredError, code="expired")
    assert refusal.requests == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_an_expired_snapshot_ends_everything(scene: Scene, forge: Forge) -> None:
    forge.state(expire)
    forge.answer(scene.server)
    refusal = scene.refused(ExpiredError, code="expired")
    assert refusal.requests[-1].endswith(".snapshot.json")
    assert not refusal.targets
    assert "targets" not in scene.remembered()


def test_an_expired_root_ends_everything(scene: Scene, forge: Forge) -> None:
    forge.change("root", expire, by=["root-1"])
    forge.answer(scene.server)
    refusal = scene.refused(ExpiredError, code="expired")
    # The clock is asked once the newest root is known, which python-tuf says when the timestamp is in hand.
    assert refusal.requests == ["/metadata/2.root.json", "/metadata/3.root.json", "/metadata/timestamp.json"]
    assert "timestamp" not in scene.remembered()


@pytest.mark.parametrize(
    ("role", "by"),
    [
        ("targets", CURATORS),
        ("skills", CURATORS),
        ("bin", CURATORS),
        ("profiles", ["olga"]),
        ("revocations", ["bob"]),
    ],
)
def test_an_expired_role_ends_the_birth(scene: Scene, forge: Forge, role: str, by: list[str]) -> None:
    role = forge.owner(BUNDLE) if role == "bin" else role
    forge.change(role, expire, by=by)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(ExpiredError, code="expired")
    assert refusal.requests[-1].endswith(f".{role}.json")  # nothing is fetched after the refusal
    assert not refusal.fetched("web-search")
    with pytest.raises(ExpiredError):  # and our own check says the same without python-tuf
        forge.verify().vouch(
            {"profiles": "profiles/base/1.json", "revocations": "revocations.json"}.get(role, BUNDLE)
        )


@pytest.mark.parametrize(
    ("later", "role"),
    [
        (timedelta(hours=25), "timestamp"),
        (timedelta(days=400), "root"),
    ],
)
def test_the_hosts_own_clock_ends_a_frozen_state(scene: Scene, later: timedelta, role: str) -> None:
    scene.at(now() + later)
    refusal = scene.refused(ExpiredError, code="expired")
    assert refusal.error.facts["role"] == role
    assert not refusal.targets


def test_what_is_in_the_store_does_not_outlive_its_metadata(scene: Scene, forge: Forge) -> None:
    scene.born()
    scene.register("other")
    forge.change(forge.owner(BUNDLE), expire, by=CURATORS)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(ExpiredError, code="expired", name="other")
    assert not refusal.fetched("web-search")


def test_a_renewed_state_is_accepted_after_a_freeze(scene: Scene, forge: Forge) -> None:
    forge.timestamp(expire)
    forge.answer(scene.server)
    scene.refused(ExpiredError)
    scene.server.lies.clear()
    scene.world.refresh()
    scene.world.refresh()  # the attacker's number is used up: the next one counts
    assert scene.born()["skills"] == ["web-search==1.0"]
