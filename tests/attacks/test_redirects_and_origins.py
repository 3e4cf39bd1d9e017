"""Redirects and origins: the host that births agents is not made to call somebody else.

Only the repository's own origin is ever connected to. A redirect is an answer that is not a file.
"""

import socket
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError

from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from repo_client.updater import Server, refreshed
from signing.errors import FormatError, NotFoundError, TransportError
from tests.attacks.raw_server import Talk, raw_server
from tests.support.world import World

LIMITS = FetchLimits(gap=1, deadline=2)


def refresh(world: World, url: str, folder: Path) -> None:
    with refreshed(folder, server=Server.parse(url), anchor=world.anchor, limits=LIMITS):
        raise AssertionError("there is nothing to trust here")


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_not_followed(world: World, tmp_path: Path, status: str) -> None:
    with raw_server(lambda talk: talk.answer(b"{}")) as internal:

        def answer(talk: Talk) -> None:
            target = f"{internal.url}/metadata/timestamp.json".encode()
            talk.answer(status=status, headers=b"Location: " + target + b"\r\n")

        with raw_server(answer) as server:
            with pytest.raises(TransportError) as caught:
                refresh(world, server.url, tmp_path / "metadata")
            assert server.connections == 1
        assert internal.connections == 0
    assert caught.value.code == "unreachable"
    assert [path.name for path in (tmp_path / "metadata").glob("*.json")] == ["root.json"]


def test_a_redirect_to_itself_is_not_followed(world: World, tmp_path: Path) -> None:
    with raw_server(lambda talk: talk.answer(status="302 Found", headers=b"Location: /x\r\n")) as server:
        with pytest.raises(TransportError):
            refresh(world, server.url, tmp_path / "metadata")
        assert server.connections == 1


def test_a_refresh_header_or_an_upgrade_leads_nowhere(world: World, tmp_path: Path) -> None:
    with raw_server(lambda talk: talk.answer(b"{}")) as internal:
        more = f'Refresh: 0; url={internal.url}\r\nAlt-Svc: h2="127.0.0.1:{internal.port}"\r\n'.encode()
        outside = raw_server(lambda talk: talk.answer(status="404 Not Found", headers=more))
        with outside as server, pytest.raises(NotFoundError, match="HTTP 404"):
            refresh(world, server.url, tmp_path / "metadata")
        assert internal.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{other}/metadata/timestamp.json",
        "http://localhost:{port}/x",
        "http://127.0.0.1:{port}@127.0.0.1:{other}/x",
        "http://[::1]:{port}/x",
        "https://127.0.0.1:{port}/x",
        "file:///etc/hostname",
        "ftp://127.0.0.1:{port}/x",
        "gopher://127.0.0.1:{other}/x",
        "//127.0.0.1:{other}/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://",
        "http://127.0.0.1:99999/x",
    ],
)
def test_another_origin_is_refused_before_a_connection_is_made(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    with (
        raw_server(lambda talk: talk.answer(b"x")) as server,
        raw_server(lambda talk: talk.answer(b"x")) as other,
    ):
        fetcher = StrictFetcher(frozenset({Origin.of(server.url)}), limits=LIMITS)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "create_connection", lambda *where, **_: made.append(where))
            with pytest.raises(DownloadError):
                fetcher.download_bytes(url.format(port=server.port, other=other.port), 100)
        assert made == []
        assert (server.connections, other.connections) == (0, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://skills.clawdie.si",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example",
        "https://user:secret@skills.clawdie.si",
        "https://@skills.clawdie.si",
        "ftp://127.0.0.1/",
        "skills.clawdie.si",
        "https://",
        "https://[::1",
        "https://host:port/",
        "",
    ],
)
def test_a_server_that_is_not_https_or_loopback(url: str) -> None:
    with pytest.raises(FormatError):
        Server.parse(url)


def test_a_secret_in_an_address_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FormatError) as caught:
        Server.parse("https://user:hunter2@skills.clawdie.si")
    assert "hunter2" not in str(caught.value.to_document())


def test_what_is_asked_for_is_below_the_base() -> None:
    server = Server.parse("https://skills.clawdie.si/sub/")
    assert server.metadata_url == "https://skills.clawdie.si/sub/metadata/"
    assert server.targets_url == "https://skills.clawdie.si/sub/targets/"
