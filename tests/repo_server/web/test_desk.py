"""The desk's door and its views, as somebody who speaks HTTP by hand meets them."""

import gzip
import io
import json
import logging
import shutil
import tarfile
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from repo_server.config import RepositoryConfig
from repo_server.db.models import CandidateRow, ProposalRow, TokenRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.state import Setting, render_state
from repo_server.desk.wire import multipart, origin_to_json
from repo_server.tokens import Scope, revoke_token
from repo_server.web.limiter import Limiter
from repo_server.web.local import create_local_app
from signing.format.archive import render_bundle
from signing.format.canonical import canonical
from signing.format.manifest import Kind
from signing.format.names import Pin
from tests.repo_server.desk.scene import Scene, origin, tree_of
from tests.support.world import World, now, skill_md

DESK = "/api/v1/desk"


class Visitor:
    """Speaks to the application without a network, with a good token unless told otherwise."""

    def __init__(self, scene: Scene, **limits: Limiter) -> None:
        self.scene = scene
        self.web: FlaskClient = scene.build(**limits).test_client()
        self.web.environ_base["HTTP_HOST"] = "skills.clawdie.si"
        self.token = scene.token("alice")

    def ask(self, method: str, path: str, *, token: str | None = None, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        headers |= options.pop("headers", {})
        return self.web.open(DESK + path, method=method, headers=headers, **options)

    def post(self, path: str, document: Any, **options: Any) -> TestResponse:
        data = document if isinstance(document, bytes) else canonical(document)
        return self.ask("POST", path, data=data, content_type="application/json", **options)

    def upload(self, bundle: bytes, *, told: bytes | None = None) -> TestResponse:
        origin_json = canonical(origin_to_json(origin())) if told is None else told
        parts = {
            "origin": (io.BytesIO(origin_json), "origin.json"),
            "bundle": (io.BytesIO(bundle), "bundle.tar.gz"),
        }
        return self.ask("POST", "/candidates", data=parts, content_type="multipart/form-data")


@pytest.fixture
def visitor(world: World, tmp_path: Path) -> Visitor:
    return Visitor(Scene(world, tmp_path / "curators"))


def bundle_of(pin: str = "notes==1.0", files: Mapping[str, bytes] | None = None) -> bytes:
    wanted = Pin.parse(pin)
    tree = tree_of(files or {"SKILL.md": skill_md(wanted.name)})
    return render_bundle(tree.to_bundle(wanted, Kind.SKILL))


def refused(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.get_data()
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    document = response.get_json()
    assert document["code"] == code
    assert isinstance(document, dict)
    return document


def candidates(scene: Scene) -> list[str]:
    with snapshot(scene.world.repository.engine) as session:
        return sorted(session.scalars(select(CandidateRow.name)))


# ------------------------------------------------------------------------------------------------ the door

ROUTES = [
    ("GET", "/state"),
    ("GET", "/blobs/" + "0" * 64),
    ("GET", "/candidates/" + "0" * 32 + "/bundle"),
    ("GET", "/log"),
    ("POST", "/candidates"),
    ("POST", "/candidates/" + "0" * 32 + "/reviews"),
    ("POST", "/candidates/" + "0" * 32 + "/attestations"),
    ("POST", "/profiles"),
    ("DELETE", "/profiles/base/1"),
    ("POST", "/lists"),
    ("POST", "/proposals"),
    ("POST", "/signatures"),
    ("POST", "/publish"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path[:12]}" for method, path in ROUTES])
def test_every_route_wants_a_token_of_the_right_scope(visitor: Visitor, method: str, path: str) -> None:
    for header in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}):
        response = visitor.web.open(DESK + path, method=method, headers=header)
        refused(response, 401, "token-refused")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    pkg = visitor.scene.token("builder", scope=Scope.parse("publish-pkg:FreeBSD:14:amd64/latest"))
    refused(visitor.ask(method, path, token=pkg), 403, "not-entitled")


def test_all_routes_are_tried_above() -> None:
    from repo_server.web.desk import DESK_ROUTES

    assert len(ROUTES) == len(DESK_ROUTES)


def test_without_being_asked_to_nobody_serves_a_desk(world: World) -> None:
    app = create_local_app(world.repository.folder)
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "skills.clawdie.si"
    token = Scene(world, Path("unused")).token("alice")
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"{DESK}/state", headers=headers).status_code == 404
    assert client.post(f"{DESK}/publish", headers=headers, json={}).status_code == 405
    assert "/api/v1/desk" not in client.get("/api/v1/openapi.json").get_data(as_text=True)


def test_the_package_site_has_no_desk(visitor: Visitor) -> None:
    response = visitor.ask("GET", "/state", headers={"Host": "pkg.clawdie.si"})
    assert response.status_code == 404


def test_a_foreign_host_name_reaches_nothing(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/state", headers={"Host": "evil.example"}).status_code == 421


def test_revoked_and_expired_tokens(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/state").status_code == 200
    with transaction(visitor.scene.world.repository.engine) as session:
        revoke_token(session, visitor.token.split("_")[1], now=now())
    assert "revoked" in refused(visitor.ask("GET", "/state"), 401, "token-refused")["detail"]
    visitor.token = visitor.scene.token("alice", days=1)
    visitor.scene.clock = lambda: now() + timedelta(days=2)
    assert "ended" in refused(visitor.ask("GET", "/state"), 401, "token-refused")["detail"]


def test_the_token_is_in_no_log(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    visitor.ask("GET", "/state")
    visitor.ask("GET", "/state", token=visitor.token[:-1] + "!")
    visitor.ask("GET", "/blobs/" + "0" * 64)
    assert visitor.token[:30] not in caplog.text


def test_the_last_use_is_known(visitor: Visitor) -> None:
    visitor.ask("GET", "/log")
    with snapshot(visitor.scene.world.repository.engine) as session:
        (row,) = session.scalars(select(TokenRow))
        assert row.last_used_at is not None


def test_a_token_may_ask_so_often(world: World, tmp_path: Path) -> None:
    visitor = Visitor(Scene(world, tmp_path), requests=Limiter(capacity=6, per_second=0.5))
    assert visitor.ask("GET", "/state").status_code == 200  # costs 4
    response = visitor.ask("GET", "/state")
    refused(response, 429, "too-many-requests")
    assert response.headers["Retry-After"] == "4"
    other = visitor.scene.token("bob")
    assert visitor.ask("GET", "/state", token=other).status_code == 200


def test_guessing_is_slowed_down_and_keeps_nobody_else_out(world: World, tmp_path: Path) -> None:
    visitor = Visitor(Scene(world, tmp_path), failures=Limiter(capacity=3, per_second=0.1))
    for _ in range(3):
        refused(visitor.ask("GET", "/state", token="skt_guess"), 401, "token-refused")
    response = visitor.ask("GET", "/state", token="skt_guess")
    refused(response, 429, "too-many-requests")
    assert int(response.headers["Retry-After"]) <= 10
    assert visitor.ask("GET", "/state").status_code == 200


# ------------------------------------------------------------------------------------------------- reading


def test_the_state_has_one_spelling_and_an_etag(visitor: Visitor) -> None:
    first, second = visitor.ask("GET", "/state"), visitor.ask("GET", "/state")
    assert first.get_data() == second.get_data() == canonical(json.loads(first.get_data()))
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = visitor.ask("GET", "/state", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    visitor.scene.world.import_skill("notes==1.0")
    changed = visitor.ask("GET", "/state", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_the_state_holds_no_token_and_no_key(visitor: Visitor) -> None:
    text = visitor.ask("GET", "/state").get_data(as_text=True)
    assert "tokens" not in json.loads(text)
    assert "skt_" not in text
    assert "argon2id" not in text


def test_a_policy_is_shown_with_its_files(visitor: Visitor) -> None:
    folder = visitor.scene.world.repository.folder
    (folder / "policy.toml").write_text('[review]\nreviewers = 2\n[upstream]\ncertificates = "ca.pem"\n')
    (folder / "ca.pem").write_text("---\n")
    assert set(json.loads(visitor.ask("GET", "/state").get_data())["policy"]) == {"policy.toml", "ca.pem"}


def test_dropped_proposals_and_old_metadata_are_not_sent(world: World) -> None:
    with transaction(world.repository.engine) as session:
        rows = list(session.scalars(select(ProposalRow)))
        assert rows  # those of the published release
    with snapshot(world.repository.engine) as session:
        state = json.loads(render_state(session, Setting(dev=True, policy={})))
    assert state["proposals"] == []
    roles = [item["role"] for item in state["metadata"]]
    assert len(roles) == len(set(roles))


@pytest.mark.parametrize("digest", ["0" * 63, "A" * 64, "..%2f..%2frepository.toml", "%00"])
def test_blobs_have_digests(visitor: Visitor, digest: str) -> None:
    assert visitor.ask("GET", f"/blobs/{digest}").status_code in {400, 404}
    refused(visitor.ask("GET", "/blobs/" + "0" * 64), 404, "not-found")


def test_a_damaged_blob_does_not_tell_where_it_lies(visitor: Visitor) -> None:
    candidate = visitor.scene.world.import_skill("notes==1.0")
    with snapshot(visitor.scene.world.repository.engine) as session:
        digest = session.get_one(CandidateRow, candidate).tree_sha256
    (path,) = visitor.scene.world.repository.folder.glob(f"blobs/*/{digest}")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    response = visitor.ask("GET", f"/blobs/{digest}")
    refused(response, 422, "digest-mismatch")
    assert str(visitor.scene.world.repository.folder) not in response.get_data(as_text=True)


@pytest.mark.parametrize("after", ["x", "-1", "1_0", "٣", "1" * 20, "00", "%20", "1%0a"])
def test_numbers_of_records(visitor: Visitor, after: str) -> None:
    refused(visitor.ask("GET", f"/log?after={after}"), 400, "malformed")


def test_the_log_comes_in_pages(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_server.web.desk._LOG_PAGE", 3)
    numbers: list[int] = []
    while page := json.loads(visitor.ask("GET", f"/log?after={len(numbers)}").get_data())["records"]:
        assert len(page) <= 3
        numbers += [item["sequence"] for item in page]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5


# ----------------------------------------------------------------------------------------------- uploading


def test_a_candidate_is_staged_from_its_bundle(visitor: Visitor) -> None:
    response = visitor.upload(
        bundle_of(files={"SKILL.md": skill_md("notes"), "scripts/x.sh": b"#!/bin/sh\n"})
    )
    assert response.status_code == 200, response.get_data()
    assert response.get_json()["state"] == "staged"
    bundle = visitor.ask("GET", f"/candidates/{response.get_json()['candidate']}/bundle")
    assert bundle.get_data() == bundle_of(
        files={"SKILL.md": skill_md("notes"), "scripts/x.sh": b"#!/bin/sh\n"}
    )


def hostile_tar(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A bundle made by hand: true MANIFEST, and a member that leaves the folder."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as zipped,
        tarfile.TarFile(fileobj=zipped, mode="w") as tar,
    ):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        member.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(b"evil"))
    data = bytearray(stream.getvalue())
    data[8], data[9] = 2, 0xFF  # so that it is not the gzip header alone that is refused
    return bytes(data)


HOSTILE = {
    "path-up": lambda: hostile_tar("../../keys/online.key.json"),
    "path-absolute": lambda: hostile_tar("/etc/passwd"),
    "link": lambda: hostile_tar("SKILL.md", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "device": lambda: hostile_tar("SKILL.md", kind=tarfile.CHRTYPE),
    "bomb": lambda: bundle_of()[:10] + gzip.compress(bytes(80 << 20), 9)[10:],
    "cut": lambda: bundle_of()[:-20],
    "appended": lambda: bundle_of() + b"more",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "empty": lambda: b"",
    "text": lambda: b"---\nname: notes\n---\n",
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_hostile_uploads_leave_nothing(visitor: Visitor, what: str) -> None:
    folder = visitor.scene.world.repository.folder
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    refused(visitor.upload(HOSTILE[what]()), 400, "malformed")
    assert candidates(visitor.scene) == ["web-search"]
    after = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path for path in after if path.suffix == ""] == [path for path in before if path.suffix == ""]


def test_a_manifest_that_lies(visitor: Visitor) -> None:
    good = gzip.decompress(bundle_of())
    lying = good.replace(b"Do the work.", b"Do evil now.")
    assert lying != good
    import zlib

    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(lying) + compressor.flush()
    trailer = zlib.crc32(lying).to_bytes(4, "little") + len(lying).to_bytes(4, "little")
    refused(visitor.upload(bundle_of()[:10] + body + trailer), 422, "digest-mismatch")
    assert candidates(visitor.scene) == ["web-search"]


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"a":1,"a":1}',
        canonical({**origin_to_json(origin()), "trusted": True}),
        canonical({**origin_to_json(origin()), "resolved": {"a": 1}}),
        canonical({**origin_to_json(origin()), "source": "x" * 50}),
        canonical({**origin_to_json(origin()), "observations": [{"id": "1"}]}),
    ],
    ids=["empty", "nothing", "list", "bytes", "twice", "more", "number", "long", "finding"],
)
def test_origins_that_are_none(visitor: Visitor, told: bytes) -> None:
    refused(visitor.upload(bundle_of(), told=told), 400, "malformed")
    assert candidates(visitor.scene) == ["web-search"]


def test_parts_that_are_missing_or_twice(visitor: Visitor) -> None:
    body, media_type = multipart(origin(), bundle_of(), boundary="b")
    head = body[: body.index(b"\r\n--b\r\n") + 2]
    for data in (b"", b"--b--\r\n", head + b"--b--\r\n", head + body):
        refused(visitor.ask("POST", "/candidates", data=data, content_type=media_type), 400, "malformed")


def test_a_body_that_is_too_large(visitor: Visitor) -> None:
    for path, size in (("/candidates", 38 << 20), ("/signatures", 7 << 20), ("/publish", 65 << 10)):
        huge = {"CONTENT_LENGTH": str(size)}
        response = visitor.ask("POST", path, data=b"x", environ_overrides=huge)
        assert response.status_code == 413
    assert candidates(visitor.scene) == ["web-search"]


def test_a_body_that_does_not_say_how_large_it_is(visitor: Visitor) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.given += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    stream = Endless()
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = visitor.web.open(
        f"{DESK}/publish",
        method="POST",
        headers={"Authorization": f"Bearer {visitor.token}", "Content-Type": "application/json"},
        environ_overrides=environ,
    )
    assert response.status_code in {400, 413}
    assert stream.given < 1 << 20


def test_another_media_type(visitor: Visitor) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        response = visitor.ask("POST", "/publish", data=b"{}", content_type=content_type)
        assert response.status_code == 415


def test_no_room_on_the_disk(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1000))
    response = visitor.upload(bundle_of())
    refused(response, 503, "host-failed")
    assert candidates(visitor.scene) == ["web-search"]


def test_few_bodies_are_read_at_once(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_server.web.desk_guard._BODY_WAIT_SECONDS", 0.05)
    service = visitor.scene.service
    assert service is not None
    taken = [service.bodies.acquire(blocking=False) for _ in range(10)]
    assert taken.count(True) == 4
    refused(visitor.upload(bundle_of()), 429, "too-many-requests")
    assert visitor.ask("GET", "/state").status_code == 200  # readers are not kept waiting
    service.bodies.release()
    assert visitor.upload(bundle_of()).status_code == 200


# ------------------------------------------------------------------------------------------------ deciding


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"envelope":{},"replaces":null}',
        b'{"envelope":null,"replaces":null}',
        b'{"envelope":{"payload":"","payloadType":"x","signatures":[]},"replaces":"x"}',
        b"[" * 5_000,
        b'{"envelope":1e999}',
    ],
    ids=["empty", "list", "nothing", "no-envelope", "null", "no-digest", "deep", "float"],
)
def test_reviews_that_are_none(visitor: Visitor, body: bytes) -> None:
    candidate = visitor.scene.world.import_skill("notes==1.0")
    refused(visitor.post(f"/candidates/{candidate}/reviews", body), 400, "malformed")
    assert visitor.scene.state_of(candidate) == "staged"


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        ("candidate:" + "0" * 32, 404),
        ("profile:none==1", 404),
        ("renewal:snapshot", 400),
        ("renewal:root", 400),
        ("revocations:" + "0" * 64, 404),
        ("revocations:x", 400),
        ("root:1", 400),
        ("", 400),
        ("x" * 121, 400),
    ],
)
def test_subjects_that_cannot_be_proposed(visitor: Visitor, subject: str, status: int) -> None:
    assert visitor.post("/proposals", {"subject": subject}).status_code == status
    with snapshot(visitor.scene.world.repository.engine) as session:
        assert not [row for row in session.scalars(select(ProposalRow)) if row.state == "open"]


GOOD = {"role": "revocations", "signed_sha256": "0" * 64, "keyid": "0" * 64, "sig": "0" * 128}


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        [{**GOOD, "sig": "0" * 127}],
        [{**GOOD, "sig": "A" * 128}],
        [{**GOOD, "sig": " " * 128}],
        [{**GOOD, "keyid": "x"}],
        [{**GOOD, "more": 1}],
        [GOOD] * 16_386,
    ],
    ids=["none", "short", "upper", "spaces", "keyid", "more", "many"],
)
def test_signatures_that_are_none(visitor: Visitor, signatures: list[Any]) -> None:
    response = visitor.post("/signatures", {"subject": "renewal:revocations", "signatures": signatures})
    refused(response, 400, "malformed")


def test_no_attestation_counts_without_a_policy(visitor: Visitor) -> None:
    candidate = visitor.scene.world.import_skill("notes==1.0")
    refused(visitor.post(f"/candidates/{candidate}/attestations", {}), 403, "not-allowed")


def test_a_profile_with_pins_of_its_own(visitor: Visitor) -> None:
    zero = "0" * 64
    item = {
        "name": "web-search",
        "version": "1.0",
        "bundle_sha256": zero,
        "tree_sha256": zero,
        "review_sha256": zero,
    }
    profile = {
        "schema": "https://skills.clawdie.si/schema/profile/v1",
        "name": "base",
        "version": "2",
        "skills": [item],
        "souls": [],
        "capabilities": [],
    }
    refused(visitor.post("/profiles", {"profile": profile}), 422, "wrong-subject")
    refused(visitor.ask("DELETE", "/profiles/base/2"), 404, "not-found")


def test_publishing_without_the_online_key(visitor: Visitor) -> None:
    visitor.scene.online = False
    document = refused(visitor.post("/publish", {}), 409, "key-not-available")
    assert "online key" in document["error"]["message"]


def test_what_breaks_is_not_told(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /var/db")

    monkeypatch.setattr("repo_server.web.desk.publish", broken)
    response = visitor.post("/publish", {})
    assert response.status_code == 500
    assert "secret" not in response.get_data(as_text=True)


@pytest.fixture
def _quiet_threads() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before


@pytest.mark.usefixtures("_quiet_threads")
def test_the_service_over_a_folder_serves_the_desk_when_asked(world: World) -> None:
    app = create_local_app(world.repository.folder, online=lambda: world.signers["online"])
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = RepositoryConfig().skills_hosts[0]
    token = Scene(world, Path("unused")).token("alice")
    assert client.get(f"{DESK}/state", headers={"Authorization": f"Bearer {token}"}).status_code == 200
