"""deploy/nginx, run by a real nginx: the skills site answers from plain files as the service does from the same ones."""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from flask import Flask
from flask.testing import FlaskClient

from repo_server.publishing.siblings import replace_with_sibling, write_once_with_sibling
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from tests.repo_server.web.published import (
    BUNDLE,
    BUNDLE_PATH,
    NOW,
    REVIEW_PATH,
    CatalogueInMemory,
    write,
    write_trees,
)
from tests.repo_server.web.test_nginx import Answer, configure, free_port, pytestmark, running

__all__ = ["pytestmark"]

DOCUMENT = b'{"signed":' + b'"many words" ' * 400 + b"}"
SNAPSHOT, BIN = "metadata/8.snapshot.json", "metadata/3.skills-1f.json"
REPO = f"targets/pkg/FreeBSD:14:amd64/latest/{'7' * 64}.repo.json"
INDEX = ".well-known/agent-skills/index.json"
SKILL = ".well-known/skills/web-search/SKILL.md"
FILES = (
    "metadata/timestamp.json",
    "metadata/1.root.json",
    SNAPSHOT,
    BIN,
    BUNDLE_PATH,
    REVIEW_PATH,
    REPO,
    INDEX,
    ".well-known/skills/index.json",
    SKILL,
    ".well-known/skills/web-search/page.html",
)
# What nginx and the service make differently: HSTS is whoever ends TLS, an ETag each makes in its own way.
OWN = {"date", "server", "connection", "strict-transport-security", "etag", "keep-alive", "last-modified"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Both:
    """One tree, served by nginx and by our service."""

    def __init__(self, root: Path, port: int, client: FlaskClient) -> None:
        self.root, self.port, self.client = root, port, client

    def nginx(self, path: str, *, method: str = "GET", body: int = 0, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", "skills.clawdie.si")
            if body:
                connection.putheader("Content-Length", str(body))
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def service(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        answer = self.client.open(
            path, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        return Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.data)


def without_own(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in OWN}
    if answer.status != 200:
        headers.pop("accept-ranges", None)  # nginx says it of whole answers only
    return answer.status, headers, answer.body


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("site")
    config: WebConfig = write_trees(folder)
    root = config.skills_root
    for path in (SNAPSHOT, BIN, REPO):
        write_once_with_sibling(root, path, DOCUMENT)
    for path in (INDEX, ".well-known/skills/index.json"):
        replace_with_sibling(root, path, DOCUMENT)
    write(root, ".well-known/skills/web-search/data.json", b"{}" * 1000)
    write(root, ".well-known/skills/web-search/data.json.gz", gzip.compress(b"other" * 1000))
    write(root, "metadata/.new-1234", b"not published")
    write(root, ".hidden", b"not published")
    (root / "metadata/9.snapshot.json").symlink_to(folder / "secret")
    (root / f"targets/{'0' * 64}.planted.json").symlink_to(folder / "secret")
    (root / "linked").symlink_to(folder)
    (root / ".well-known/skills/elsewhere").symlink_to(folder)
    app = create_app(config, catalogue=CatalogueInMemory(), clock=lambda: NOW)
    app.config["TREE"] = root
    return app


@pytest.fixture(scope="module")
def both(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    root, settings = app.config["TREE"], tmp_path_factory.mktemp("settings")
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "skills.clawdie.si"
    with make_server("127.0.0.1", 0, app, server_class=WSGIServer, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        with running(configure(settings, root.parent, port, service=server.server_port), port):
            yield Both(root, port, client)
        server.shutdown()


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept_Encoding": "gzip"},
        {"Accept_Encoding": "gzip;q=0"},
        {"Accept_Encoding": "br, deflate"},
        {"Accept_Encoding": "gzip", "Via": "1.1 a-cdn"},
        {"If_None_Match": '"other"'},
        {"If_Modified_Since": "Sun, 22 Nov 2099 12:00:00 GMT"},
    ],
    ids=str,
)
def test_one_answer(both: Both, path: str, method: str, headers: dict[str, str]) -> None:
    nginx, service = (ask(f"/{path}", method=method, **headers) for ask in (both.nginx, both.service))
    assert nginx.status == 200
    assert without_own(nginx) == without_own(service)
    assert "last-modified" not in nginx.headers
    if method == "GET":
        packed = nginx.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(nginx.body) if packed else nginx.body
        assert body == (both.root / path).read_bytes()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=10-19", 206),
        ("bytes=-7", 206),
        ("bytes=100-", 206),
        ("bytes=0-1,5-6", 200),
        ("bytes=0-,0-,0-,0-", 200),
        ("items=0-1", 200),
    ],
)
def test_one_answer_to_a_range(both: Both, asked: str, status: int) -> None:
    nginx, service = (ask(f"/{BUNDLE_PATH}", Range=asked) for ask in (both.nginx, both.service))
    assert nginx.status == status
    assert without_own(nginx) == without_own(service)


def test_a_range_behind_the_end(both: Both) -> None:
    nginx, service = (
        ask(f"/{BUNDLE_PATH}", Range=f"bytes={len(BUNDLE)}-") for ask in (both.nginx, both.service)
    )
    assert nginx.status == service.status == 416
    assert without_own(nginx) == without_own(service)
    assert nginx.headers["cache-control"] == "no-store"


def test_what_is_known_is_not_sent_again_and_each_encoding_for_itself(both: Both) -> None:
    for path in (SNAPSHOT, BUNDLE_PATH, INDEX):
        for accepts in ("gzip", "identity"):
            for ask in (both.nginx, both.service):
                tag = ask(f"/{path}", Accept_Encoding=accepts).headers["etag"]
                assert not tag.startswith("W/")
                assert ask(f"/{path}", Accept_Encoding=accepts, If_None_Match=tag).status == 304
                other = "identity" if accepts == "gzip" else "gzip"
                varies = path != BUNDLE_PATH
                again = ask(f"/{path}", Accept_Encoding=other, If_None_Match=tag)
                assert again.status == (200 if varies else 304)
        nginx, service = (
            ask(f"/{path}", Accept_Encoding="gzip", If_None_Match="*") for ask in (both.nginx, both.service)
        )
        assert without_own(nginx) == without_own(service)


def test_nothing_makes_a_client_keep_an_old_timestamp(both: Both) -> None:
    answer = both.nginx("/metadata/timestamp.json")
    assert "etag" not in answer.headers
    assert "last-modified" not in answer.headers
    for headers in ({"If_None_Match": '"other"'}, {"If_Modified_Since": "Sun, 22 Nov 2099 12:00:00 GMT"}):
        assert both.nginx("/metadata/timestamp.json", **headers).status == 200


def test_two_indexes_of_one_second_are_two(both: Both) -> None:
    tags = []
    for number in range(3):
        replace_with_sibling(both.root, INDEX, DOCUMENT + bytes([97 + number]))
        for accepts in ("gzip", "identity"):
            answer = both.nginx(f"/{INDEX}", Accept_Encoding=accepts)
            tags.append(answer.headers["etag"])
            body = gzip.decompress(answer.body) if accepts == "gzip" else answer.body
            assert body[-1] == 97 + number
    assert len(set(tags)) == len(tags)
    replace_with_sibling(both.root, INDEX, DOCUMENT)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metadata",
        "/metadata/",
        "/metadata/8.root.json",
        "/metadata/.new-1234",
        "/metadata/.well-known/index.json",
        "/.hidden",
        "/.well-known",
        "/.well-known/",
        "/.well-known/skills/web-search",
        "/.well-known/skills/web-search/",
        "/.well-known/skills/.git/config",
        "/metadata/9.snapshot.json",
        f"/targets/{'0' * 64}.planted.json",
        "/linked/secret",
        "/.well-known/skills/elsewhere/secret",
        f"/{SNAPSHOT}.gz",
        f"/{REPO}.gz",
        f"/{INDEX}.gz",
        "//metadata/timestamp.json",
        "/metadata//timestamp.json",
        "/nothing/here",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_is_one_answer(both: Both, path: str, method: str) -> None:
    nginx, service = (ask(path, method=method, Accept_Encoding="gzip") for ask in (both.nginx, both.service))
    assert nginx.status == 404
    assert b"not published" not in nginx.body
    if path != "//metadata/timestamp.json":  # test_client would take it for a host
        assert without_own(nginx) == without_own(service)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path", ["/metadata/timestamp.json", f"/{BUNDLE_PATH}", f"/{SKILL}", "/nothing/here"]
)
def test_another_method_is_one_answer(both: Both, path: str, method: str) -> None:
    nginx, service = (ask(path, method=method) for ask in (both.nginx, both.service))
    allowed = [sorted(answer.headers.pop("allow").split(", ")) for answer in (nginx, service)]
    assert allowed == [["GET", "HEAD"]] * 2
    assert nginx.status == 405
    assert without_own(nginx) == without_own(service)


def test_what_an_author_put_beside_a_file_is_no_sibling(both: Both) -> None:
    answer = both.nginx("/.well-known/skills/web-search/data.json", Accept_Encoding="gzip")
    assert answer.body == b"{}" * 1000
    assert "vary" not in answer.headers


def test_bodies_are_refused(both: Both) -> None:
    answer = both.nginx("/metadata/timestamp.json", body=70_000)
    assert answer.status == 413
    assert b'"code":"request-entity-too-large"' in answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    chunked = both.nginx("/api/v1/skills", method="POST", body=70_000)
    assert chunked.status in {405, 413}


def test_long_headers_are_refused(both: Both) -> None:
    assert both.nginx("/metadata/timestamp.json", X="a" * 9000).status == 400
    assert both.nginx(f"/{'a' * 9000}").status == 414


def test_health_and_api_reach_the_service_and_its_errors_stay_its_own(both: Both) -> None:
    for path in ("/healthz", "/readyz", "/api/v1/skills"):
        nginx, service = both.nginx(path), both.service(path)
        assert without_own(nginx) == without_own(service)
    assert both.nginx("/api/v1/skills/nothing").body == both.service("/api/v1/skills/nothing").body


def test_who_asks_the_service_too_often_waits_and_files_are_not_counted(both: Both) -> None:
    answers = [both.nginx("/api/v1/skills") for _ in range(120)]
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers} == {200, 429}
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].headers["cache-control"] == "no-store"
    assert {both.nginx("/metadata/timestamp.json").status for _ in range(120)} == {200}
    time.sleep(2.5)  # for the tests after this one


def test_slow_clients_hold_up_nobody(both: Both) -> None:
    """150 of one address that drip their headers; four probes are answered, of files and of the service."""
    request = f"GET /{BUNDLE_PATH} HTTP/1.1\r\nHost: skills.clawdie.si\r\n".encode()
    with ExitStack() as clients:
        for _ in range(150):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", both.port), timeout=20))
            slow.sendall(request + b"X: ")
        for _ in range(4):
            start = time.monotonic()
            assert both.nginx(f"/{BUNDLE_PATH}").body == BUNDLE
            assert both.nginx("/healthz").status == 200
            assert time.monotonic() - start < 15


def test_one_address_has_a_hundred_answers_at_once(both: Both) -> None:
    """Who takes them without reading is refused the next one, in words that a client understands."""
    path = f"targets/skills/large/1.0/{'1' * 64}.large-1.0.tar.gz"
    with write(both.root, path, b"").open("r+b") as stream:
        stream.truncate(64 << 20)
    request = f"GET /{path} HTTP/1.1\r\nHost: skills.clawdie.si\r\n\r\n".encode()
    with ExitStack() as clients:
        for _ in range(100):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", both.port))
            client.sendall(request)
            client.recv(1)  # it has begun
        refused = both.nginx("/metadata/timestamp.json")
        assert refused.status == 429
        assert b'"code":"too-many-requests"' in refused.body
    end = time.monotonic() + 30
    while both.nginx("/metadata/timestamp.json").status == 429 and time.monotonic() < end:
        time.sleep(0.1)
    assert both.nginx("/metadata/timestamp.json").status == 200


def test_who_does_not_finish_a_header_is_hung_up_on(app: Flask, tmp_path: Path) -> None:
    """The same files with a shorter time: it holds for every server, the ones without a name too."""
    port = free_port()
    main = configure(tmp_path, app.config["TREE"].parent, port)
    limits = tmp_path / "skillrepo-limits.conf"
    assert "client_header_timeout 15s;" in limits.read_text()
    limits.write_text(limits.read_text().replace("client_header_timeout 15s;", "client_header_timeout 1s;"))
    with running(main, port):
        for host in (b"skills.clawdie.si", b"nobody.example"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
                slow.sendall(b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: " + host + b"\r\n")
                start = time.monotonic()
                with suppress(ConnectionResetError):
                    assert b"200" not in slow.recv(100)
                assert time.monotonic() - start < 8
