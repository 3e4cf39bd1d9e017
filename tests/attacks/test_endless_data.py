"""Endless data and slow data: a server that never stops sending, or hardly starts, costs bounded bytes and seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repo_client.fetcher import FetchLimits
from repo_client.updater import Server, refreshed
from signing.errors import DigestMismatchError, FormatError, SkillRepoError, TransportError
from tests.attacks.forge import CURATORS, Forge
from tests.attacks.raw_server import LONGEST, RawServer, Talk, raw_server
from tests.attacks.scene import Scene
from tests.support.world import World

DEADLINE, GAP = 0.8, 0.4
# What a socket may swallow beyond what the client reads: buffers of both ends.
BUFFERS = 8 << 20
HEADER = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def within_reason() -> Iterator[None]:
    """Ends long before the server does; how long after its own deadline is up to the machine."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < LONGEST / 2


def refresh(world: World, server: RawServer, folder: Path) -> None:
    limits = FetchLimits(gap=GAP, deadline=DEADLINE)
    with refreshed(folder, server=Server.parse(server.url), anchor=world.anchor, limits=limits):
        raise AssertionError("there is nothing to trust here")


def known_roles(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.json")}


# --- too many bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [b"", b"Content-Length: 999999999999\r\n"], ids=["no length", "huge length"]
)
def test_metadata_that_never_ends(world: World, tmp_path: Path, header: bytes) -> None:
    def answer(talk: Talk) -> None:
        if "root" in talk.path:
            talk.answer(status="404 Not Found")
            return
        talk.send(HEADER + header + b"\r\n")
        talk.for_ever(b" " * 65536)

    with raw_server(answer) as server, within_reason():
        with pytest.raises(DigestMismatchError, match="exceeding"):
            refresh(world, server, tmp_path / "metadata")
        assert server.sent < BUFFERS
    assert known_roles(tmp_path / "metadata") == {"root.json"}


def test_chunks_that_never_end(world: World, tmp_path: Path) -> None:
    def answer(talk: Talk) -> None:
        talk.send(HEADER + b"Transfer-Encoding: chunked\r\n\r\n")
        talk.for_ever(b"1000\r\n" + b" " * 4096 + b"\r\n")

    with raw_server(answer) as server, within_reason():
        with pytest.raises(SkillRepoError):
            refresh(world, server, tmp_path / "metadata")
        assert server.sent < BUFFERS
    assert known_roles(tmp_path / "metadata") == {"root.json"}


def test_a_target_larger_than_signed(scene: Scene) -> None:
    path = next((scene.world.public / "targets").rglob("*.web-search-1.0.tar.gz"))
    url = f"/{path.relative_to(scene.world.public)}"
    scene.server.lies[url] = path.read_bytes() + bytes(40 << 20)
    refusal = scene.refused(DigestMismatchError, code="digest-mismatch")
    assert refusal.requests[-1] == url
    assert not list((scene.mother.state / "store").rglob("*.md"))


def test_metadata_larger_than_signed(scene: Scene, forge: Forge) -> None:
    name = f"{forge.version('profiles')}.profiles.json"
    scene.server.lies[f"/metadata/{name}"] = forge.documents["profiles"] + b" " * (40 << 20)
    scene.refused(DigestMismatchError, code="digest-mismatch")
    assert "profiles" not in scene.remembered()


def test_a_target_that_is_signed_as_enormous(scene: Scene, forge: Forge) -> None:
    """A size comes from signed metadata only, and even that has a limit: 64 MiB."""
    path = "skills/web-search/1.0/web-search-1.0.tar.gz"

    def inflate(signed) -> None:
        signed.targets[path].length = 1 << 50

    forge.change(forge.owner(path), inflate, by=CURATORS)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(FormatError, code="malformed")
    assert not refusal.fetched("web-search")


# --- too slow --------------------------------------------------------------------------------------


def slow(talk_slowly: Callable[[Talk], None]) -> Callable[[Talk], None]:
    def answer(talk: Talk) -> None:
        if "root" in talk.path:
            talk.answer(status="404 Not Found")
        else:
            talk_slowly(talk)

    return answer


@pytest.mark.parametrize(
    "talk_slowly",
    [
        lambda talk: talk.silence(),
        lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 999, pause=0.05),
        lambda talk: talk.for_ever(b"X: y\r\n", pause=0.05),
        lambda talk: (talk.send(HEADER), talk.for_ever(b"X: y\r\n", pause=0.02)),
        lambda talk: (talk.send(HEADER + b"Content-Length: 9999\r\n\r\n"), talk.for_ever(b" ", pause=0.05)),
        lambda talk: (talk.send(HEADER + b"\r\n"), talk.for_ever(b" ", pause=0.05)),
        lambda talk: (
            talk.send(HEADER + b"Transfer-Encoding: chunked\r\n\r\n"),
            talk.for_ever(b"1\r\n \r\n", pause=0.05),
        ),
        lambda talk: (talk.send(HEADER + b"Content-Length: 9999\r\n\r\n{"), talk.silence()),
        lambda talk: talk.for_ever(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05),
        lambda talk: (talk.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n"), talk.silence()),
    ],
    ids=[
        "silence",
        "header drips",
        "no status",
        "headers without end",
        "body drips",
        "body drips to the end",
        "chunks drip",
        "silence in the body",
        "continue for ever",
        "silence in an error",
    ],
)
def test_a_slow_server_is_left_at_the_deadline(world: World, tmp_path: Path, talk_slowly) -> None:
    with raw_server(slow(talk_slowly)) as server, within_reason():
        with pytest.raises(TransportError) as caught:
            refresh(world, server, tmp_path / "metadata")
        assert caught.value.code == "unreachable"
        assert server.connections == 2  # the next root and the timestamp: nothing is tried again in secret
        assert server.sent < 100_000
    assert known_roles(tmp_path / "metadata") == {"root.json"}


def test_a_server_that_hangs_up(world: World, tmp_path: Path) -> None:
    with raw_server(lambda talk: None) as server, pytest.raises(TransportError):
        refresh(world, server, tmp_path / "metadata")
    assert known_roles(tmp_path / "metadata") == {"root.json"}


def test_nobody_there(world: World, tmp_path: Path) -> None:
    with raw_server(lambda talk: None) as server:
        gone = server
    with within_reason(), pytest.raises(TransportError):
        refresh(world, gone, tmp_path / "metadata")


def test_a_server_that_announces_more_than_it_sends(world: World, tmp_path: Path) -> None:
    """A cut connection is not the end of a file."""
    short = slow(lambda talk: talk.send(HEADER + b"Content-Length: 500\r\n\r\n{}"))
    with raw_server(short) as server, pytest.raises(TransportError):
        refresh(world, server, tmp_path / "metadata")
    assert known_roles(tmp_path / "metadata") == {"root.json"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"nonsense",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nxxxxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nxxxxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nxxxxx",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00" * 5000,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_an_answer_that_is_no_http_is_a_transport_error_or_a_refusal(
    world: World, tmp_path: Path, answer: bytes
) -> None:
    says = raw_server(lambda talk: talk.send(answer))
    with says as server, within_reason(), pytest.raises(SkillRepoError) as caught:
        refresh(world, server, tmp_path / "metadata")
    assert caught.value.code in {"unreachable", "could-not-verify", "not-found"}
    assert known_roles(tmp_path / "metadata") == {"root.json"}
