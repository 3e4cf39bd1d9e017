"""A session: one refreshed look at the repository, from which evidence is taken."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from repo_client.anchor import load_anchor
from repo_client.client import RepoClient
from signing.errors import CouldNotVerifyError, ExpiredError, FormatError, NotFoundError, SkillRepoError
from signing.format.names import Pin
from signing.metadata import MAX_METADATA_BYTES
from tests.attacks.forge import Forge
from tests.support.hurry import in_a_hurry
from tests.support.world import PlainServer, World, now

PIN = Pin.parse("web-search==1.0")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def server(world: World) -> Iterator[PlainServer]:
    with world.serve() as server:
        yield server


@pytest.fixture
def client(world: World, server: PlainServer, tmp_path: Path) -> RepoClient:
    return world.client(server.url, tmp_path / "state")


def test_a_release_says_who_vouches_for_it(client: RepoClient) -> None:
    with client.session(now()) as session:
        release = session.release(PIN)
        profile = session.profile(Pin.parse("base==1"))
        revocations = session.revocations()
    assert release.pin == PIN
    assert release.bundle.target.signers == ("alice", "bob")
    assert release.bundle.target.threshold == 2
    assert release.review.reviewers == ("alice",)
    assert profile.target.signers == ("olga",)
    assert revocations.revocations.entries == ()
    assert release.bundle.target.role.startswith("skills-")


def test_everything_of_a_session_belongs_to_one_moment(client: RepoClient) -> None:
    moment = now()
    with client.session(moment) as session:
        found = [session.release(PIN).bundle.target, session.profile(Pin.parse("base==1")).target]
        found.append(session.revocations().target)
    assert {target.checked_at for target in found} == {moment}


def test_what_is_published_during_a_session_is_not_in_it(world: World, client: RepoClient) -> None:
    with client.session(now()) as session:
        session.revocations()
        world.publish_skill("calendar==1.0")
        with pytest.raises(NotFoundError):
            session.release(Pin.parse("calendar==1.0"))
        assert session.release(PIN).pin == PIN
    with client.session(now()) as session:
        assert session.release(Pin.parse("calendar==1.0"))


@pytest.mark.parametrize("pin", ["web-search==2.0", "web-search==1.0.1", "nothing==1.0"])
def test_what_is_not_published_is_not_found(client: RepoClient, server: PlainServer, pin: str) -> None:
    with client.session(now()) as session, pytest.raises(NotFoundError) as caught:
        session.release(Pin.parse(pin))
    assert caught.value.exit_status == 3
    assert server.asked_for("/targets/") == 0


def test_expect_fetches_the_metadata_of_all_at_once(client: RepoClient, server: PlainServer) -> None:
    with client.session(now()) as session:
        session.expect([PIN, Pin.parse("nothing==1.0")])
        before = len(server.requests)
        session.release(PIN)
        assert all(path.startswith("/targets/") for path in server.requests[before:])


def test_only_the_bins_that_decide_are_fetched(world: World, client: RepoClient, server: PlainServer) -> None:
    forge = Forge(world)
    with client.session(now()) as session:
        session.release(PIN)
    wanted = {forge.owner(PIN.bundle_path), forge.owner(PIN.review_path)}
    fetched = {path.split(".")[1] for path in server.requests if ".skills-" in path}
    assert fetched == wanted


def test_time_is_the_callers(client: RepoClient) -> None:
    with client.session(now() + timedelta(days=2)) as session, pytest.raises(ExpiredError):
        session.release(PIN)


def test_the_anchor_is_not_shown(client: RepoClient) -> None:
    assert "signatures" not in repr(client)


# --- the anchor ------------------------------------------------------------------------------------


def test_an_anchor_signs_itself(world: World, tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    path.write_bytes(world.anchor)
    assert load_anchor(path) == world.anchor
    path.write_bytes(world.anchor.replace(b'"version":1', b'"version":2'))
    with pytest.raises(CouldNotVerifyError, match="not signed by its own keys"):
        load_anchor(path)


def test_no_anchor_is_never_learned_from_the_network(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_anchor(tmp_path / "absent")
    assert "not from the server" in caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"<html>",
        b"\xff",
        b"[" * 50_000,
        bytes(600_000),
        b'{"signatures":[],"signed":{"_type":"timestamp"}}',
        b'{"signatures":[],"signed":{"_type":"root","x":1.5}}',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_anchor(tmp_path: Path, data: bytes) -> None:
    assert len(data) < MAX_METADATA_BYTES
    path = tmp_path / "anchor.json"
    path.write_bytes(data)
    with pytest.raises(FormatError):
        load_anchor(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"spec_version":', b'"extra":1.5,"spec_version":'),
        (b'"consistent_snapshot":true', b'"consistent_snapshot":1.5'),
        (b'"version":1', b'"version":1,"version":2'),
        (b'"threshold":1', b'"threshold":0'),
        (b'"keytype":"ed25519"', b'"keytype":"odd"'),
        (b'"_type":"root"', b'"_type":"root","\\ud800":1'),
    ],
)
def test_an_edited_anchor(world: World, tmp_path: Path, old: bytes, new: bytes) -> None:
    """A refusal with a code, whatever was done to it."""
    assert old in world.anchor
    path = tmp_path / "anchor.json"
    path.write_bytes(world.anchor.replace(old, new))
    with pytest.raises(SkillRepoError) as caught:
        load_anchor(path)
    assert caught.value.code in {"malformed", "could-not-verify"}


def test_a_folder_is_no_anchor(tmp_path: Path) -> None:
    with pytest.raises(CouldNotVerifyError):
        load_anchor(tmp_path)
