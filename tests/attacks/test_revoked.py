"""Revoked skills: the list is signed, fresh and required. No list means no birth, never "nothing is revoked"."""

import pytest

from signing.errors import RejectedError, RevokedError, RollbackError
from signing.format.digest import sha256_of
from signing.format.names import REVOCATIONS_PATH
from signing.format.revocations import Revocations
from signing.roles import hashed_path
from tests.attacks.forge import Forge, expire
from tests.attacks.scene import Scene

EMPTY = Revocations().render()
LIST_URL = f"/targets/{hashed_path(REVOCATIONS_PATH, sha256_of(EMPTY))}"


def tree_of(forge: Forge) -> str:
    targets = forge.read(forge.owner("skills/web-search/1.0/web-search-1.0.tar.gz")).signed.targets
    return next(target.custom["tree_sha256"] for target in targets.values() if target.custom)


@pytest.mark.parametrize("by", ["digest", "version", "name"])
@pytest.mark.parametrize("fetched_before", [False, True], ids=["first birth", "already in the store"])
def test_a_revoked_skill_enters_no_jail(scene: Scene, forge: Forge, by: str, fetched_before: bool) -> None:
    if fetched_before:
        scene.born()
    scene.register("other")
    what = {
        "digest": {"sha256": tree_of(forge)},
        "version": {"name": "web-search", "version": "1.0"},
        "name": {"name": "web-search"},
    }[by]
    forge.revoke(**what)  # by one curator: revoking needs one
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RevokedError, code="revoked", name="other")
    assert refusal.error.facts["pin"] == "web-search==1.0"
    if fetched_before:
        assert not refusal.fetched(".tar.gz")  # it came from the store, and that did not help


def test_another_skill_is_not_revoked(scene: Scene, forge: Forge) -> None:
    forge.revoke(name="web-search", version="2.0")
    forge.state()
    forge.answer(scene.server)
    scene.born()


def test_a_missing_list_refuses(scene: Scene) -> None:
    scene.server.missing.add(LIST_URL)
    refusal = scene.refused(Exception, code="not-found")
    assert not refusal.fetched("web-search")


def test_a_list_that_no_role_names_refuses(scene: Scene, forge: Forge) -> None:
    forge.change("revocations", lambda signed: signed.targets.clear(), by=["bob"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(Exception, code="not-found")
    assert not refusal.targets


@pytest.mark.parametrize("metadata", [True, False])
def test_a_missing_role_refuses(scene: Scene, forge: Forge, metadata: bool) -> None:
    if metadata:
        scene.server.missing.add(f"/metadata/{forge.version('revocations')}.revocations.json")
    else:
        forge.state(snapshot=[lambda signed: signed.meta.pop("revocations.json")])
        forge.answer(scene.server)
    refusal = scene.refused(Exception)
    assert not refusal.targets


def test_a_list_that_targets_does_not_delegate_refuses(scene: Scene, forge: Forge) -> None:
    forge.change("targets", lambda signed: signed.delegations.roles.pop("revocations"), by=["alice", "bob"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="could-not-verify")
    assert not refusal.targets


@pytest.mark.parametrize("signers", [[], ["mallory"], ["online"], ["olga"], ["root-1"]], ids="+".join)
def test_a_list_that_no_curator_signed_refuses(scene: Scene, forge: Forge, signers: list[str]) -> None:
    forge.change("revocations", by=signers)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="bad-signature")
    assert not refusal.targets


def test_an_expired_list_refuses(scene: Scene, forge: Forge) -> None:
    forge.change("revocations", expire, by=["bob"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="expired")
    assert not refusal.targets


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html></html>",
        EMPTY + b"\n",
        EMPTY.replace(b":", b": "),
        b'{"entries":[],"schema":"https://skills.clawdie.si/schema/revocations/v2"}',
        b'{"entries":[{}],"schema":"https://skills.clawdie.si/schema/revocations/v1"}',
        b'{"entries":null,"schema":"https://skills.clawdie.si/schema/revocations/v1"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_an_unreadable_list_refuses(scene: Scene, forge: Forge, data: bytes) -> None:
    """Signed by a curator, and still not a list: what cannot be read revokes everything."""
    forge.add(REVOCATIONS_PATH, data, by=["bob"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="malformed")
    assert len(refusal.targets) == 1


def test_other_bytes_than_the_signed_list_refuse(scene: Scene, forge: Forge) -> None:
    forge.revoke(name="web-search")
    forge.state()
    forge.answer(scene.server)
    url = next(path for path in forge.answers if path.endswith("revocations.json") and "/targets/" in path)
    scene.server.lies[url] = EMPTY
    refusal = scene.refused(RejectedError, code="digest-mismatch")
    assert refusal.requests[-1] == url


def test_an_older_list_refuses(scene: Scene, forge: Forge) -> None:
    """The list with the revocation was seen; the online key brings back the one before it."""
    newer = scene.forge()
    newer.revoke(name="calendar")
    newer.state()
    newer.answer(scene.server)
    scene.born()
    seen = scene.remembered()
    scene.register("other")
    forge.state(
        snapshot=[lambda signed: setattr(signed, "version", seen["snapshot"] + 1)],
        timestamp=[lambda signed: setattr(signed, "version", seen["timestamp"] + 1)],
    )
    forge.answer(scene.server)
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert scene.remembered()["revocations"] == seen["revocations"]
    assert not refusal.targets
