"""Where a source may go: the servers that it declares, however another one is spelled."""

import json

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources.base import SourceSettings
from repo_server.curation.sources.http import Answer, Web
from signing.errors import FormatError, NotFoundError, TransportError
from tests.support.loopback_site import LoopbackSite, Page

ELSEWHERE = [
    "https://127.0.0.1:{port}/x",
    "http://127.0.0.1:1/x",
    "http://127.0.0.1/x",
    "http://localhost:{port}/x",
    "http://127.0.0.1:{port}@evil.invalid/x",
    "http://evil.invalid@127.0.0.1:{port}/x",
    "http://evil.invalid\\@127.0.0.1:{port}/x",
    "http://evil.invalid#@127.0.0.1:{port}/x",
    "//evil.invalid/x",
    "http://[::1]:{port}/x",
    "http://[/x",
    "http://127.0.0.1:99999/x",
    "file:///etc/hostname",
    "ftp://127.0.0.1:{port}/x",
    "data:text/plain,x",
]


def spelled(template: str, site: LoopbackSite) -> str:
    return template.format(port=site.url.rpartition(":")[2])


@pytest.mark.parametrize("template", ELSEWHERE)
def test_another_server_is_not_asked(template: str) -> None:
    with LoopbackSite({"/x": Page(b"x")}) as site, Web({"a": site.url}, limits=Limits()) as web:
        with pytest.raises(TransportError):
            web.get(spelled(template, site), max_bytes=10)
        assert site.requests == []


@pytest.mark.parametrize("template", ELSEWHERE)
def test_a_redirect_to_another_server_is_not_followed(template: str) -> None:
    with LoopbackSite({"/x": Page(b"x")}) as site, Web({"a": site.url}, limits=Limits()) as web:
        site.routes["/start"] = Page.redirect(spelled(template, site))
        with pytest.raises(TransportError):
            web.get(web.at("a", "/start"), max_bytes=10)
        assert site.requests == ["/start"]


def test_what_is_judged_is_what_is_asked() -> None:
    """Readers of URLs do not agree about a backslash; here it is part of the path for all of them."""
    with LoopbackSite({"/x": Page(b"x")}) as site, Web({"a": site.url}, limits=Limits()) as web:
        with pytest.raises(NotFoundError):
            web.get(f"{site.url}\\@evil.invalid/x", max_bytes=10)
        assert site.requests == ["/%5C@evil.invalid/x"]


def test_redirects_between_declared_servers_are_followed() -> None:
    with LoopbackSite({"/x": Page(b"there")}) as other, LoopbackSite({}) as site:
        site.routes["/start"] = Page.redirect(f"{other.url}/x")
        with Web({"a": site.url, "b": other.url}, limits=Limits()) as web:
            assert web.get(web.at("a", "/start"), max_bytes=10).body == b"there"
        with Web({"a": site.url}, limits=Limits()) as web, pytest.raises(TransportError):
            web.get(web.at("a", "/start"), max_bytes=10)
    assert other.requests == ["/x"]


def test_a_base_may_have_a_path() -> None:
    with (
        LoopbackSite({"/mirror/x": Page(b"x")}) as site,
        Web({"a": f"{site.url}/mirror/"}, limits=Limits()) as web,
    ):
        assert web.get(web.at("a", "/x"), max_bytes=1).body == b"x"


def test_a_body_meets_its_bound_exactly() -> None:
    with LoopbackSite({"/x": Page(b"12345")}) as site, Web({"a": site.url}, limits=Limits()) as web:
        assert web.get(web.at("a", "/x"), max_bytes=5).body == b"12345"
        with pytest.raises(FormatError):
            web.get(web.at("a", "/x"), max_bytes=4)


def test_long_downloads_are_told() -> None:
    told: list[str] = []
    with (
        LoopbackSite({"/x": Page(bytes(5 << 20))}) as site,
        Web({"a": site.url}, limits=Limits(), settings=SourceSettings(tell=told.append)) as web,
    ):
        web.get(web.at("a", "/x"), what="archive", max_bytes=6 << 20)
    assert told == ["archive: 2 MiB so far", "archive: 4 MiB so far"]


def test_nothing_of_ours_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from requests import PreparedRequest, Session

    sent: list[PreparedRequest] = []
    original = Session.send

    def send(self: Session, request: PreparedRequest, **more: object) -> object:
        sent.append(request)
        return original(self, request, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "send", send)
    monkeypatch.setenv("NETRC", __file__)
    with LoopbackSite({"/x": Page(b"x")}) as site, Web({"a": site.url}, limits=Limits()) as web:
        web.get(web.at("a", "/x"), max_bytes=1)
    assert set(sent[0].headers) == {"User-Agent", "Accept-Encoding", "Accept", "Connection"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b",".join([b"[]"] * 600_000) + b"]}",
        b"[" * 1_000_001,
        b'{"a":["' + b'","'.join([rb"\\"] * 1_100_000) + b'"]}',
    ],
    ids=["lists", "depth", "texts"],
)
def test_json_that_would_fill_the_memory_is_not_read(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_: object, **__: object) -> None:
        pytest.fail("it was read")

    monkeypatch.setattr("repo_server.curation.sources.answers.json.loads", unread)
    with pytest.raises(FormatError, match="more than 1000000 values"):
        Answer(status=200, headers={}, body=body).json("x")


def test_what_stands_in_a_text_is_not_counted() -> None:
    text = '[{,"\\' * 600_000
    assert Answer(status=200, headers={}, body=json.dumps({"a": text}).encode()).json("x") == {"a": text}
