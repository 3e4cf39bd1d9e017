"""The package site: the paths of pkg, what is kept for how long, and "not modified" only for what one has."""

import base64
import os
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from repo_server.config import RepositoryConfig
from repo_server.db.models import TokenRow
from repo_server.db.session import open_engine, snapshot, transaction
from repo_server.pkgrepo.access import Access
from repo_server.tokens import Scope, new_token, revoke_token
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from repo_server.web.limiter import Limiter
from repo_server.web.pkg_guard import PullGuard
from repo_server.web.pkg_site import parse_place
from signing.errors import FormatError, NotFoundError
from signing.format.digest import sha256_of
from signing.format.names import HolderName
from tests.repo_server.web.published import NOW, CatalogueInMemory, write

ABI, CHANNEL = "FreeBSD:14:amd64", "latest"
BASE = f"/{ABI}/{CHANNEL}"
PACKAGE = b"\x28\xb5\x2f\xfd" + bytes(range(256)) * 400
DIGEST = sha256_of(PACKAGE)
HASHED = "All/Hashed/demo-base-1.0.0~2$6uyuqndw.pkg"
ODD = "All/c++-1.0,1~x@y$z.pkg"
CREATED = int(NOW.timestamp())
CATALOGUE = {"meta.conf": 0, "data.pkg": 0, "packagesite.pkg": 1, "repo.json": 0}


def write_serial(root: Path, serial: int, *, created: int = CREATED, abi: str = ABI) -> None:
    folder = root / f"serials/{abi}/{CHANNEL}/{serial}"
    for name, later in CATALOGUE.items():
        content = f'{name} of {serial} {{"sha256":"{DIGEST}"}}\n'.encode() * 3
        os.utime(write(folder, name, content), (created + later, created + later))
    for name in ("All/demo-1.0.pkg", HASHED, ODD, "Latest/pkg.pkg", "Latest/pkg.pkg.sig"):
        write(folder, name, PACKAGE)
    link = root / abi / CHANNEL
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../serials/{abi}/{CHANNEL}/{serial}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "pkg"
    write_serial(root, 7)
    write(root, f"by-sha256/{DIGEST}.pkg", PACKAGE)
    write(root, f"fingerprints/{ABI}/{CHANNEL}/trusted/3b", b"a fingerprint")
    write(root, "vuln.xml", b"<vuxml/>")
    write(tmp_path, "secret", b"not published")
    return root


class Visitor(FlaskClient):
    """Somebody who asks pkg.clawdie.si."""

    def open(self, *arguments: Any, **options: Any) -> TestResponse:
        return super().open(*arguments, base_url="http://pkg.clawdie.si", **options)


def make_client(root: Path, guard: PullGuard | None = None) -> FlaskClient:
    config = WebConfig(skills_root=root.parent / "skills", pkg_root=root)
    app = create_app(config, catalogue=CatalogueInMemory(), clock=lambda: NOW, guard=guard)
    app.test_client_class = Visitor
    return app.test_client()


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return make_client(root)


@pytest.mark.parametrize(
    ("path", "control"),
    [
        (f"{BASE}/meta.conf", "no-cache"),
        (f"{BASE}/data.pkg", "no-cache"),
        (f"{BASE}/packagesite.pkg", "no-cache"),
        (f"{BASE}/repo.json", "no-cache"),
        (f"{BASE}/Latest/pkg.pkg", "no-cache"),
        (f"{BASE}/Latest/pkg.pkg.sig", "no-cache"),
        (f"{BASE}/All/demo-1.0.pkg", "no-cache"),
        (f"{BASE}/{HASHED}", "public, max-age=31536000, immutable"),
        (f"{BASE}/{ODD}", "no-cache"),
        (f"/by-sha256/{DIGEST}.pkg", "public, max-age=31536000, immutable"),
        (f"/fingerprints{BASE}/trusted/3b", "no-cache"),
        ("/vuln.xml", "no-cache"),
    ],
)
def test_what_is_served_and_for_how_long_it_is_kept(client: FlaskClient, path: str, control: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == control
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.data))
    assert head.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/FreeBSD%3A14%3Aamd64/latest/All/c%2B%2B-1.0%2C1%7Ex%40y%24z.pkg",
        "/FreeBSD:14:amd64/latest/All/c++-1.0,1~x@y$z.pkg",
        "/FreeBSD:14:amd64/latest/All/c%2b%2b-1.0,1~x%40y$z.pkg",
    ],
)
def test_raw_and_encoded_characters_name_the_same_file(client: FlaskClient, path: str) -> None:
    assert client.get(path).data == PACKAGE


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/{ABI}",
        f"/{ABI}/",
        BASE,
        f"{BASE}/",
        f"{BASE}/All",
        f"{BASE}/All/",
        f"{BASE}/meta.txz",
        f"{BASE}/packagesite.txz",
        "/by-sha256/",
        "/by-sha256",
        f"/by-sha256/{DIGEST}",
        f"/by-sha256/{DIGEST.upper()}.pkg",
        f"/by-sha256/{DIGEST[:-1]}.pkg",
        "/serials",
        f"/serials{BASE}/7/meta.conf",
        f"/fingerprints{BASE}/trusted",
        f"/fingerprints{BASE}/other/3b",
        "/fingerprints/vuln.xml",
        "/FreeBSD:15:amd64/latest/meta.conf",
        "/FreeBSD:14:amd64/Latest/meta.conf",
        "/freebsd:14:amd64/latest/meta.conf",
    ],
)
def test_nothing_else_has_an_address(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"
    assert b"secret" not in answer.data


def test_not_modified_for_exactly_what_the_client_has(client: FlaskClient) -> None:
    dates = {name: client.get(f"{BASE}/{name}").headers["Last-Modified"] for name in CATALOGUE}
    stamp = {name: parsedate_to_datetime(date) for name, date in dates.items()}
    assert stamp["packagesite.pkg"] - stamp["data.pkg"] == timedelta(seconds=1)
    for name, date in dates.items():
        answer = client.get(f"{BASE}/{name}", headers={"If-Modified-Since": date})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert client.head(f"{BASE}/{name}", headers={"If-Modified-Since": date}).status_code == 304


def test_the_fallback_is_never_answered_304(client: FlaskClient) -> None:
    """pkg whose check of data.pkg failed asks for packagesite.pkg with the date of data.pkg, and believes a 304."""
    date = client.get(f"{BASE}/data.pkg").headers["Last-Modified"]
    assert client.get(f"{BASE}/packagesite.pkg", headers={"If-Modified-Since": date}).status_code == 200


@pytest.mark.parametrize(
    "since",
    [
        format_datetime(NOW - timedelta(seconds=1), usegmt=True),
        format_datetime(NOW + timedelta(seconds=1), usegmt=True),
        format_datetime(NOW + timedelta(days=4000), usegmt=True),
        "Sunday, 22-Nov-26 12:00:00 GMT",
        "Sun, 22 Nov 2026 13:00:00 +0100",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Thu, 99 Jan 9999 99:99:99 GMT",
        "x" * 5000,
        "",
        "0",
        f"{format_datetime(NOW, usegmt=True)}, {format_datetime(NOW, usegmt=True)}",
    ],
    ids=[
        "before",
        "after",
        "far-ahead",
        "old-form",
        "zone",
        "epoch",
        "nonsense",
        "long",
        "empty",
        "zero",
        "two",
    ],
)
def test_any_other_date_gets_the_file(client: FlaskClient, since: str) -> None:
    assert client.get(f"{BASE}/data.pkg", headers={"If-Modified-Since": since}).status_code == 200


def test_a_tag_goes_before_a_date(client: FlaskClient) -> None:
    first = client.get(f"{BASE}/data.pkg")
    date, tag = first.headers["Last-Modified"], first.headers["ETag"]
    for headers, status in (
        ({"If-None-Match": '"other"', "If-Modified-Since": date}, 200),
        ({"If-None-Match": tag, "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 304),
        ({"If-None-Match": "", "If-Modified-Since": date}, 200),
        ({"If-None-Match": f'W/{tag}, "x"'}, 304),
    ):
        assert client.get(f"{BASE}/data.pkg", headers=headers).status_code == status


def test_packages_have_no_date_because_that_of_an_upload_says_nothing(client: FlaskClient) -> None:
    for path in (f"{BASE}/All/demo-1.0.pkg", f"/by-sha256/{DIGEST}.pkg"):
        assert "Last-Modified" not in client.get(path).headers
        since = {"If-Modified-Since": format_datetime(NOW, usegmt=True)}
        assert client.get(path, headers=since).status_code == 200


def test_ranges_and_if_range(client: FlaskClient) -> None:
    path = f"/by-sha256/{DIGEST}.pkg"
    part = client.get(path, headers={"Range": "bytes=100-"})
    assert (part.status_code, part.data) == (206, PACKAGE[100:])
    assert part.headers["Content-Range"] == f"bytes 100-{len(PACKAGE) - 1}/{len(PACKAGE)}"
    assert client.get(path, headers={"Range": f"bytes={len(PACKAGE)}-"}).status_code == 416
    assert client.get(path, headers={"Range": "bytes=1-", "If-Range": f'"{DIGEST}"'}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=1-", "If-Range": '"other"'}).data == PACKAGE
    date = client.get(f"{BASE}/data.pkg").headers["Last-Modified"]
    asked = {"Range": "bytes=1-2"}
    assert client.get(f"{BASE}/data.pkg", headers={**asked, "If-Range": date}).status_code == 206
    assert client.get(f"{BASE}/packagesite.pkg", headers={**asked, "If-Range": date}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_only_get_and_head(client: FlaskClient, method: str) -> None:
    for headers in ({}, {"X-HTTP-Method-Override": "GET"}):
        answer = client.open(f"{BASE}/meta.conf", method=method, headers=headers)
        if method == "get":
            assert answer.status_code in {200, 405}
        else:
            assert answer.status_code == 405
            assert b"meta.conf of" not in answer.data


def test_places_are_parsed_once() -> None:
    assert parse_place(f"{ABI}/{CHANNEL}/All/x.pkg").name == "All/x.pkg"
    for path in ("", "a", "a/b", "a/b/c", f"{ABI}/{CHANNEL}", f"{ABI}/{CHANNEL}/..", "serials/a/b/c"):
        with pytest.raises(NotFoundError):
            parse_place(path)


# --- access by token


class Door:
    """A package site that takes tokens."""

    def __init__(self, root: Path) -> None:
        self.engine = open_engine(f"sqlite:///{root.parent / 'repository.db'}")
        self.now = NOW
        guard = PullGuard(
            engine=self.engine, clock=lambda: self.now, failures=Limiter(capacity=3, per_second=0.1)
        )
        self.client = make_client(root, guard)

    def token(self, scope: str = f"pull-pkg:{ABI}/{CHANNEL}") -> str:
        with transaction(self.engine) as session:
            _, text = new_token(
                session,
                name=HolderName("tenant"),
                scope=Scope.parse(scope),
                expires=NOW + timedelta(days=2),
                now=NOW,
            )
        return text

    def get(self, path: str, token: str | None = None, *, basic: bool = True) -> TestResponse:
        headers = {}
        if token is not None and basic:
            headers["Authorization"] = "Basic " + base64.b64encode(f"pkg:{token}".encode()).decode()
        elif token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.client.get(path, headers=headers)


@pytest.fixture
def door(root: Path) -> Iterator[Door]:
    write_serial(root, 3, abi="FreeBSD:15:amd64")
    made = Door(root)
    yield made
    made.engine.dispose()


PROTECTED = [f"{BASE}/meta.conf", f"{BASE}/All/demo-1.0.pkg", f"{BASE}/repo.json", f"/by-sha256/{DIGEST}.pkg"]


@pytest.mark.parametrize("path", PROTECTED)
def test_without_a_token_there_is_a_challenge_and_no_byte(door: Door, path: str) -> None:
    for _ in range(10):  # pkg asks so each time before it shows its token: this is no failure
        answer = door.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="packages"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert PACKAGE[:32] not in answer.data
    assert door.get(path.replace(DIGEST, "0" * 64)).status_code == 401  # what is there is nobody's business


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("basic", [True, False])
def test_with_a_token_of_the_repository_it_is_served_for_this_client_only(
    door: Door, path: str, basic: bool
) -> None:
    answer = door.get(path, door.token(), basic=basic)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"].startswith("private")
    assert "public" not in answer.headers["Cache-Control"]
    assert answer.headers["Vary"] == "Authorization"
    with snapshot(door.engine) as session:
        assert session.query(TokenRow).one().last_used_at == NOW


@pytest.mark.parametrize(
    "scope",
    ["curate", f"publish-pkg:{ABI}/{CHANNEL}", f"pull-pkg:{ABI}/other", "pull-pkg:FreeBSD:13:amd64/latest"],
)
@pytest.mark.parametrize("path", PROTECTED)
def test_a_token_for_something_else_opens_nothing(door: Door, scope: str, path: str) -> None:
    answer = door.get(path, door.token(scope))
    assert answer.status_code == 403
    assert PACKAGE[:32] not in answer.data


def test_a_digest_belongs_to_the_repository_whose_index_names_it(door: Door, root: Path) -> None:
    other = b"a package of the other repository"
    write(root, f"by-sha256/{sha256_of(other)}.pkg", other)
    assert door.get(f"/by-sha256/{sha256_of(other)}.pkg", door.token()).status_code == 403
    assert (
        door.get(f"/by-sha256/{DIGEST}.pkg", door.token("pull-pkg:FreeBSD:15:amd64/latest")).status_code
        == 200
    )
    assert door.get("/FreeBSD:15:amd64/latest/meta.conf", door.token()).status_code == 403


def test_fingerprints_and_vulnerabilities_are_for_everybody(door: Door) -> None:
    for path in (f"/fingerprints{BASE}/trusted/3b", "/vuln.xml"):
        assert door.get(path).status_code == 200
        assert door.get(path, "skt_000000000000_" + "A" * 43).status_code == 200


def test_bad_tokens_are_slowed_down_and_good_ones_are_not(door: Door) -> None:
    good, bad = door.token(), "skt_000000000000_" + "A" * 43
    statuses = [door.get(PROTECTED[0], bad).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    late = door.get(PROTECTED[0], bad)
    assert int(late.headers["Retry-After"]) >= 1
    assert door.get(PROTECTED[0], good).status_code == 200
    door.now += timedelta(seconds=30)
    assert door.get(PROTECTED[0], bad).status_code == 401


def test_revoked_and_expired_tokens_are_refused(door: Door) -> None:
    token = door.token()
    door.now = NOW + timedelta(days=3)
    assert door.get(PROTECTED[0], token).status_code == 401
    door.now = NOW
    with transaction(door.engine) as session:
        revoke_token(session, token.split("_")[1], now=NOW)
    assert door.get(PROTECTED[0], token).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic c2t0", "Digest x", "Bearer", "Negotiate", "Basic " + "A" * 4000, "\xe9"],
    ids=["bare", "no-base64", "no-colon", "digest", "no-token", "negotiate", "long", "latin"],
)
def test_malformed_credentials_are_refused_and_never_repeated(door: Door, header: str) -> None:
    answer = door.client.get(PROTECTED[0], headers={"Authorization": header})
    assert answer.status_code == 401
    if len(header) > 6:
        assert header.encode("latin-1") not in answer.data


@pytest.mark.parametrize(
    "values",
    [{"access": "token"}, {"access": ""}, {"access": True}, {"acces": "tokens"}, {"access": ["open"]}],
)
def test_a_misspelt_setting_does_not_leave_the_door_open(values: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        Access.from_toml(values, where="repository.toml: pkg")


def test_the_setting_travels(tmp_path: Path) -> None:
    assert Access.OPEN.render() == ""
    for access in Access:
        (tmp_path / "repository.toml").write_text(RepositoryConfig(pkg_access=access).render())
        assert RepositoryConfig.load(tmp_path).pkg_access is access
    (tmp_path / "repository.toml").write_text('[pkg]\naccess = "tokens "\n')
    with pytest.raises(FormatError):
        RepositoryConfig.load(tmp_path)
