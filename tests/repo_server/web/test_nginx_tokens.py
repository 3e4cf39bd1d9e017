"""deploy/nginx where the package site takes tokens, and where the desk is let in: a real nginx before a real service."""

import base64
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from werkzeug.serving import make_server

from repo_server.db.session import open_engine, transaction
from repo_server.tokens import Scope, new_token, revoke_token
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from repo_server.web.pkg_guard import PullGuard
from signing.format.digest import sha256_of
from signing.format.names import HolderName
from tests.repo_server.desk.scene import Scene, _Quiet
from tests.repo_server.web.published import NOW, CatalogueInMemory, write
from tests.repo_server.web.test_nginx import Answer, configure, free_port, pytestmark, running
from tests.repo_server.web.test_pkg_site import BASE, DIGEST, HASHED, ODD, PACKAGE, PROTECTED, write_serial
from tests.support.world import World

__all__ = ["pytestmark"]

ELSEWHERE = "/FreeBSD:15:amd64/latest"
MINE, OTHERS = f"pull-pkg:{BASE[1:]}", f"pull-pkg:{ELSEWHERE[1:]}"


@dataclass
class Front:
    """nginx with the token configuration, and what stands behind it."""

    root: Path
    port: int
    engine: Engine
    log: Path

    def token(self, scope: str = MINE) -> str:
        with transaction(self.engine) as session:
            _, text = new_token(
                session,
                name=HolderName("tenant"),
                scope=Scope.parse(scope),
                expires=NOW + timedelta(days=2),
                now=NOW,
            )
        return text

    def ask(
        self,
        path: str,
        token: str | None = None,
        *,
        method: str = "GET",
        host: str = "pkg.clawdie.si",
        **headers: str,
    ) -> Answer:
        if token is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"pkg:{token}".encode()).decode()
        return ask(self.port, path, method=method, host=host, **headers)


def ask(port: int, path: str, *, method: str, host: str, body: bytes = b"", **headers: str) -> Answer:
    """Send the path as it is: no client in between cleans it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("tokens")
    root = folder / "pkg"
    (folder / "skills").mkdir()
    write_serial(root, 7)
    write_serial(root, 3, abi="FreeBSD:15:amd64")
    write(root, f"by-sha256/{DIGEST}.pkg", PACKAGE)
    theirs = sha256_of(b"theirs")
    write(root, f"serials{ELSEWHERE}/3/repo.json", f'{{"sha256":"{theirs}"}}'.encode())
    write(root, f"by-sha256/{theirs}.pkg", b"theirs")
    write(root, f"fingerprints{BASE}/trusted/3b", b"a fingerprint")
    write(root, "vuln.xml", b"<vuxml/>")
    engine = open_engine(f"sqlite:///{folder / 'repository.db'}")
    config = WebConfig(skills_root=folder / "skills", pkg_root=root)
    guard = PullGuard(engine=engine, clock=lambda: NOW)
    app = create_app(config, catalogue=CatalogueInMemory(), clock=lambda: NOW, guard=guard)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    port = free_port()
    settings = folder / "settings"
    settings.mkdir()
    try:
        with running(configure(settings, folder, port, service=server.server_port, tokens=True), port):
            yield Front(root, port, engine, settings / "access.log")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        engine.dispose()


def content(front: Front, path: str) -> bytes:
    """What is on disk at this address."""
    if path.startswith("/by-sha256"):
        return (front.root / path[1:]).read_bytes()
    return (front.root / path[1:]).resolve().read_bytes()


@pytest.mark.parametrize("path", [*PROTECTED, f"{BASE}/{HASHED}", f"{BASE}/{ODD}", f"{BASE}/packagesite.pkg"])
def test_with_the_right_token_everything_is_there(front: Front, path: str) -> None:
    token = front.token()
    answer = front.ask(path, token)
    assert (answer.status, answer.body) == (200, content(front, path))
    assert "private" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "Authorization"
    for name in ("strict-transport-security", "x-content-type-options", "content-security-policy"):
        assert answer.headers[name].count(",") == 0  # there, and once
    head = front.ask(path, token, method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(answer.body)), b"")
    part = front.ask(path, token, Range="bytes=3-")
    assert (part.status, part.body) == (206, answer.body[3:])


def test_not_modified_for_exactly_what_the_client_has(front: Front) -> None:
    token = front.token()
    for name in ("meta.conf", "data.pkg", "packagesite.pkg"):
        date = front.ask(f"{BASE}/{name}", token).headers["last-modified"]
        same = front.ask(f"{BASE}/{name}", token, If_Modified_Since=date)
        assert (same.status, same.body) == (304, b"")
        other = front.ask(f"{BASE}/{name}", token, If_Modified_Since="Sun, 22 Nov 2099 12:00:00 GMT")
        assert other.status == 200
        # And never for who shows nothing: that it is not modified tells already.
        assert front.ask(f"{BASE}/{name}", If_Modified_Since=date).status == 401


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_without_a_token_there_is_a_challenge_and_no_byte(front: Front, path: str, method: str) -> None:
    answer = front.ask(path, method=method)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="packages"')
    assert answer.headers["cache-control"] == "no-store"
    assert content(front, path) not in answer.body
    assert not {"last-modified", "etag", "accept-ranges"} & set(answer.headers)


@pytest.mark.parametrize("path", PROTECTED)
def test_another_tenants_token_opens_nothing(front: Front, path: str) -> None:
    for scope in (OTHERS, "curate", f"publish-pkg:{BASE[1:]}"):
        answer = front.ask(path, front.token(scope))
        assert answer.status == 403
        assert content(front, path) not in answer.body
    # Also right after the entitled one was given it: nothing in between keeps answers.
    assert front.ask(path, front.token()).status == 200
    assert front.ask(path, front.token(OTHERS)).status == 403
    assert front.ask(path).status == 401


def test_each_tenant_gets_its_own(front: Front) -> None:
    mine, theirs = front.token(), front.token(OTHERS)
    for _ in range(3):
        assert front.ask(f"{BASE}/meta.conf", mine).status == 200
        assert front.ask(f"{ELSEWHERE}/meta.conf", theirs).status == 200
        assert front.ask(f"{ELSEWHERE}/meta.conf", mine).status == 403
        assert front.ask(f"{BASE}/meta.conf", theirs).status == 403
    assert front.ask(f"/by-sha256/{sha256_of(b'theirs')}.pkg", mine).status == 403


@pytest.mark.parametrize(
    "path",
    [
        f"/{BASE}/meta.conf",
        f"{BASE}//meta.conf",
        f"{BASE}/./meta.conf",
        f"/vuln.xml/..{BASE}/meta.conf",
        f"/fingerprints{BASE}/trusted/../../../..{BASE}/meta.conf",
        f"/fingerprints{BASE}/trusted/..%2f..%2f..%2f..%2f{BASE[1:]}/meta.conf",
        f"/serials{BASE}/7/meta.conf",
        f"{BASE}/meta.conf%00",
        f"{BASE}/meta.conf?x=/vuln.xml",
        f"http://pkg.clawdie.si{BASE}/meta.conf",
    ],
)
def test_no_spelling_of_a_path_goes_around_the_door(front: Front, path: str) -> None:
    answer = front.ask(path)
    assert answer.status in {400, 401, 404}
    assert b"meta.conf of" not in answer.body


@pytest.mark.parametrize("host", ["skills.clawdie.si", "127.0.0.1", "other.example", ""])
def test_no_other_name_goes_around_the_door(front: Front, host: str) -> None:
    for path in (f"{BASE}/meta.conf", f"/pkg{BASE}/meta.conf"):
        answer = front.ask(path, host=host)
        assert answer.status in {400, 401, 404, 421}
        assert b"meta.conf of" not in answer.body


def test_a_revoked_token_opens_nothing_any_more(front: Front) -> None:
    token = front.token()
    assert front.ask(f"{BASE}/meta.conf", token).status == 200
    with transaction(front.engine) as session:
        revoke_token(session, token.split("_")[1], now=NOW)
    assert front.ask(f"{BASE}/meta.conf", token).status == 401


def test_what_a_client_needs_first_is_for_everybody(front: Front) -> None:
    assert front.ask(f"/fingerprints{BASE}/trusted/3b").body == b"a fingerprint"
    assert front.ask("/vuln.xml").body == b"<vuxml/>"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_only_get_and_head(front: Front, method: str) -> None:
    assert front.ask(f"{BASE}/meta.conf", front.token(), method=method).status in {403, 405}


def test_tokens_stand_in_no_log(front: Front) -> None:
    token = front.token()
    front.ask(f"{BASE}/meta.conf", token)
    front.ask(f"{BASE}/meta.conf", Authorization=f"Bearer {token}")
    written = front.log.read_text() + front.log.with_name("error.log").read_text()
    assert "meta.conf" in written
    assert token.split("_", 2)[2] not in written


def test_without_the_service_nothing_is_served(front: Front, tmp_path: Path) -> None:
    """The files lie there; nginx must not find them by itself."""
    port = free_port()
    with running(configure(tmp_path, front.root.parent, port, service=1, tokens=True), port):
        for path in (*PROTECTED, "/vuln.xml"):
            answer = ask(port, path, method="GET", host="pkg.clawdie.si")
            assert answer.status == 502
            assert content(front, path) not in answer.body


def test_the_desk_is_reached_through_nginx_and_nothing_else_takes_bodies(
    world: World, tmp_path: Path
) -> None:
    port = free_port()
    with Scene(world, tmp_path / "people").serving() as scene:
        assert scene.server is not None
        main = configure(tmp_path, world.repository.folder / "public", port, service=scene.server.server_port)
        with running(main, port):
            bearer = f"Bearer {scene.token('builder', scope=Scope.parse(f'publish-pkg:{BASE[1:]}'))}"
            data = bytes(9 << 20)
            place = f"/api/v1/desk/pkg{BASE}/uploads/{sha256_of(data)}?size={len(data)}&offset=0"
            kind = {"Content_Type": "application/octet-stream"}
            skills = {"method": "PUT", "host": "skills.clawdie.si"}
            taken = ask(port, place, body=data, Authorization=bearer, **kind, **skills)
            assert (taken.status, b'"offset":9437184' in taken.body) == (200, True)
            assert ask(port, place, body=data, **kind, **skills).status == 401
            assert world.repository.package_blobs.size_of(sha256_of(data)) == len(data)
            for path in ("/api/v1/skills", "/metadata/timestamp.json", "/healthz"):
                assert ask(port, path, method="POST", host="skills.clawdie.si", body=b"x").status == 405
            assert ask(port, place, **{**skills, "host": "pkg.clawdie.si"}).status in {403, 404, 405}
