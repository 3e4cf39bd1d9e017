"""A token for packages: shown to one origin, and repeated nowhere."""

from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError

from hive.cli.context import open_client
from hive.config import HiveConfig
from repo_client.access_token import AccessToken
from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from repo_client.packages import PackageSource
from repo_client.updater import Server
from signing.errors import (
    FormatError,
    KeyAccessError,
    NotFoundError,
    SkillRepoError,
    TransportError,
    UsageError,
)
from tests.attacks.raw_server import RawServer, Talk, raw_server
from tests.support.packages import AGENT, listed

SECRET = "Jm0cVq9JmVf0bq3yTn1oC8dE7hG6iK5lL4mM3nN2oO1"
TEXT = f"skt_5f3a91c07be2_{SECRET}"
LIMITS = FetchLimits(gap=5, deadline=20)


def token_for(url: str) -> AccessToken:
    return AccessToken.parse(f"{TEXT}\n".encode(), origin=Origin.of(url))


def source(server: RawServer, token: AccessToken | None) -> PackageSource:
    return PackageSource(server=Server.parse(f"{server.url}/pkg"), limits=LIMITS, token=token)


def fetch(server: RawServer, token: AccessToken | None) -> bytes:
    return b"".join(source(server, token).pieces(listed(AGENT)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"short",
        b"two words",
        b"two\nlines",
        TEXT.encode() + b"\r\n",
        b"x" * 2000,
        "tökentöken".encode(),
    ],
    ids=["nothing", "empty", "short", "words", "lines", "crlf", "long", "unicode"],
)
def test_what_is_no_token_is_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        AccessToken.parse(data, origin=Origin.of("https://pkg.example"))
    assert SECRET not in str(caught.value.to_document())


def test_it_is_shown_to_its_own_origin_only() -> None:
    token = token_for("https://pkg.example")
    assert token.headers_for(Origin.of("https://pkg.example/x")) == {"Authorization": f"Bearer {TEXT}"}
    for other in (
        "https://pkg.example:8443",
        "https://skills.example",
        "http://127.0.0.1",
        "https://pkg.example.evil.example",
    ):
        assert token.headers_for(Origin.of(other)) == {}
    assert SECRET not in repr(token)


def test_a_package_server_is_shown_it() -> None:
    with raw_server(lambda talk: talk.answer(AGENT)) as server:
        assert fetch(server, token_for(server.url)) == AGENT
        assert f"Authorization: Bearer {TEXT}\r\n".encode() in server.requests[0]
        assert fetch(server, None) == AGENT
        assert b"Authorization" not in server.requests[1]


def test_a_fetcher_of_several_origins_shows_it_to_one() -> None:
    with (
        raw_server(lambda talk: talk.answer(b"x")) as packages,
        raw_server(lambda talk: talk.answer(b"x")) as other,
    ):
        fetcher = StrictFetcher(
            frozenset({Origin.of(packages.url), Origin.of(other.url)}),
            limits=LIMITS,
            credential=token_for(packages.url),
        )
        for server in (packages, other):
            assert b"".join(fetcher.stream(f"{server.url}/a")) == b"x"
        assert SECRET.encode() in packages.requests[0]
        assert b"Authorization" not in other.requests[0]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_no_redirect_takes_it_along(status: str) -> None:
    with raw_server(lambda talk: talk.answer(AGENT)) as thief:

        def lead_away(talk: Talk) -> None:
            talk.answer(status=status, headers=f"Location: {thief.url}/\r\n".encode())

        with raw_server(lead_away) as server, pytest.raises(TransportError) as caught:
            fetch(server, token_for(server.url))
        assert thief.connections == 0
    assert SECRET not in str(caught.value.to_document())


@pytest.mark.parametrize(
    ("status", "shown", "said"),
    [
        ("401 Unauthorized", False, "wants a token"),
        ("401 Unauthorized", True, "does not take our token"),
        ("403 Forbidden", True, "does not entitle"),
        ("429 Too Many Requests", True, "too many bad tokens"),
    ],
    ids=["none", "refused", "another-scope", "too-many"],
)
def test_what_a_server_says_of_tokens_is_no_refusal_of_the_package(
    status: str, shown: bool, said: str
) -> None:
    answering = raw_server(lambda talk: talk.answer(status=status))
    with answering as server, pytest.raises(TransportError, match=said) as caught:
        fetch(server, token_for(server.url) if shown else None)
    assert "pkg_token_file" in caught.value.hint
    assert SECRET not in str(caught.value.to_document())


def test_without_a_token_forbidden_still_means_that_it_is_not_there() -> None:
    with raw_server(lambda talk: talk.answer(status="403 Forbidden")) as server, pytest.raises(NotFoundError):
        fetch(server, None)


@pytest.mark.parametrize(
    "echo",
    [
        lambda shown: b"HTTP/9 " + shown + b"\r\n\r\n",
        lambda shown: shown + b"\r\n\r\n",
        lambda shown: b"HTTP/1.1 500 " + shown + b"\r\nContent-Length: 0\r\n\r\n",
        lambda shown: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + shown + b"\r\n",
        lambda shown: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/" + shown + b"\r\n\r\n",
    ],
    ids=["version", "status-line", "reason", "chunk", "location"],
)
def test_a_server_that_repeats_it_does_not_get_it_into_an_error(echo: object) -> None:
    assert callable(echo)
    with raw_server(lambda talk: talk.send(echo(SECRET.encode()))) as server:
        with pytest.raises(SkillRepoError) as caught:
            fetch(server, token_for(server.url))
        origins = frozenset({Origin.of(server.url)})
        fetcher = StrictFetcher(origins, limits=LIMITS, credential=token_for(server.url))
        with pytest.raises(DownloadError) as below:
            b"".join(fetcher.stream(f"{server.url}/a"))
    assert SECRET not in str(caught.value.to_document())
    assert SECRET not in str(below.value)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A settings file with a token in a file of its own, and an anchor."""
    (tmp_path / "token").write_text(f"{TEXT}\n")
    (tmp_path / "token").chmod(0o600)
    settings = tmp_path / "hive.toml"
    settings.write_text(
        f'pkg_server = "https://pkg.example"\npkg_token_file = "{tmp_path / "token"}"\n'
        f'server = "https://skills.example"\nstate = "{tmp_path}"\n'
    )
    return settings


def test_an_option_leads_it_to_no_other_server(host: Path) -> None:
    assert HiveConfig.load(host, {"pkg_server": "https://pkg.example"}).pkg_token_file is not None
    with pytest.raises(UsageError, match="another one is given"):
        HiveConfig.load(host, {"pkg_server": "https://evil.example"})
    host.write_text(host.read_text().replace('pkg_server = "https://pkg.example"\n', ""))
    for given in ({}, {"pkg_server": "https://evil.example"}, {"server": "https://skills.evil.example"}):
        with pytest.raises(UsageError, match="without pkg_server"):
            HiveConfig.load(host, given)


def test_the_client_of_a_host_has_it_for_its_package_server(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repo_client.anchor.load_anchor", lambda _: b"anchor")
    config = HiveConfig.load(host, {"trust_anchor": "anchor"})
    client = open_client(config)
    assert client.pkg_token is not None
    token = client.pkg_token()
    assert token == token_for("https://pkg.example")
    assert token.headers_for(client.server.origin) == {}
    assert SECRET not in repr(client)


@pytest.mark.parametrize("what", ["open", "link", "gone", "folder", "no-token"])
def test_a_token_that_is_not_safe_is_not_read(host: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_client.anchor.load_anchor", lambda _: b"anchor")
    token = host.parent / "token"
    match what:
        case "open":
            token.chmod(0o640)
        case "no-token":
            token.write_text(f"a sentence with {TEXT}")
        case _:
            token.rename(host.parent / "other")
            if what == "link":
                token.symlink_to(host.parent / "other")
            elif what == "folder":
                token.mkdir()
    give = open_client(
        HiveConfig.load(host, {"trust_anchor": "anchor"})
    ).pkg_token  # who fetches nothing needs none
    assert give is not None
    with pytest.raises((KeyAccessError, FormatError)) as caught:
        give()
    assert SECRET not in str(caught.value.to_document())
