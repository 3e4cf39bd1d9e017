"""The published files: caching, conditional requests, ranges, methods."""

import os
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from repo_server.web.config import WebConfig
from repo_server.web.ranges import Span, UnsatisfiableRangeError, parse_range
from tests.repo_server.web.published import (
    BUNDLE,
    BUNDLE_PATH,
    BUNDLE_SHA256,
    META_CONF,
    REVIEW_PATH,
    SKILL_MD,
    timestamp,
    write,
)

IMMUTABLE = "public, max-age=31536000, immutable"
TIMESTAMP = "/metadata/timestamp.json"


@pytest.mark.parametrize(
    "path",
    [
        "metadata/1.root.json",
        "metadata/7.snapshot.json",
        "metadata/2.targets.json",
        "metadata/3.skills.json",
        "metadata/12.skills-0a.json",
        BUNDLE_PATH,
        REVIEW_PATH,
    ],
)
def test_versioned_and_hashed_names_are_immutable(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/{path}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == IMMUTABLE


@pytest.mark.parametrize(
    "path",
    [
        "metadata/timestamp.json",
        ".well-known/agent-skills/index.json",
        ".well-known/skills/index.json",
        ".well-known/skills/web-search/SKILL.md",
        f".well-known/skills/web-search/{BUNDLE_SHA256}.json",  # a name of an author's choice is no promise
        "metadata/0.root.json",
        "metadata/01.root.json",
        f"targets/{BUNDLE_SHA256[:-1]}.short.json",
    ],
)
def test_everything_else_is_asked_again(client: FlaskClient, config: WebConfig, path: str) -> None:
    if not (config.skills_root / path).exists():
        write(config.skills_root, path, b"{}")
    answer = client.get(f"/{path}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_path_of_the_other_site_is_nothing_here(client: FlaskClient, config: WebConfig) -> None:
    write(config.pkg_root, BUNDLE_PATH, b"not a target here")
    assert client.get(f"/{BUNDLE_PATH}", headers={"Host": "pkg.clawdie.si"}).status_code == 404
    answer = client.get("/FreeBSD:14:amd64/latest/meta.conf", headers={"Host": "pkg.clawdie.si"})
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/metadata/timestamp.json", "application/json"),
        (f"/{BUNDLE_PATH}", "application/gzip"),
        ("/.well-known/skills/web-search/SKILL.md", "text/markdown; charset=utf-8"),
        ("/.well-known/skills/web-search/page.html", "application/octet-stream"),
    ],
)
def test_content_types_and_security_headers(client: FlaskClient, path: str, media_type: str) -> None:
    answer = client.get(path)
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "Content-Encoding" not in answer.headers
    assert "Content-Disposition" not in answer.headers


def test_bytes_are_the_bytes_on_disk(client: FlaskClient) -> None:
    assert client.get(f"/{BUNDLE_PATH}").data == BUNDLE
    assert client.get("/.well-known/skills/web-search/SKILL.md").data == SKILL_MD
    assert client.get("/metadata/empty.json").data == b""


def test_etag_of_a_hashed_name_is_its_digest(client: FlaskClient) -> None:
    assert client.get(f"/{BUNDLE_PATH}").headers["ETag"] == f'"{BUNDLE_SHA256}"'


@pytest.mark.parametrize("condition", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_if_none_match_gives_304(client: FlaskClient, condition: str) -> None:
    first = client.get(TIMESTAMP)
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    again = client.get(TIMESTAMP, headers={"If-None-Match": condition.format(tag=tag), "Range": "bytes=0-1"})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    assert again.headers["Cache-Control"] == "no-cache"
    assert "Content-Type" not in again.headers


def test_other_etag_gives_the_file(client: FlaskClient) -> None:
    assert client.get(TIMESTAMP, headers={"If-None-Match": '"other"'}).status_code == 200


def test_replaced_timestamp_of_same_size_and_time_has_another_etag(
    client: FlaskClient, config: WebConfig
) -> None:
    published = config.skills_root / "metadata" / "timestamp.json"
    os.utime(published, ns=(1, 1))
    old = client.get(TIMESTAMP).headers["ETag"]
    fresh = write(config.skills_root, "metadata/.next", timestamp())
    os.utime(fresh, ns=(1, 1))
    fresh.replace(published)
    answer = client.get(TIMESTAMP, headers={"If-None-Match": old})
    assert answer.status_code == 200


def test_head_is_get_without_a_body(client: FlaskClient) -> None:
    for path in (TIMESTAMP, f"/{BUNDLE_PATH}", "/metadata/empty.json"):
        got, head = client.get(path), client.head(path)
        assert head.data == b""
        assert dict(head.headers) == dict(got.headers)
    assert client.head(f"/{BUNDLE_PATH}", headers={"Range": "bytes=0-1"}).status_code == 200
    missing = client.head("/metadata/8.root.json")
    assert (missing.status_code, missing.data) == (404, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("Bytes=100-", 100, len(BUNDLE)),
        ("bytes=-7", len(BUNDLE) - 7, len(BUNDLE)),
        (f"bytes=5-{10**17}", 5, len(BUNDLE)),
        (f"bytes=-{10**17}", 0, len(BUNDLE)),
        ("bytes=1-200000", 1, 200_001),
    ],
)
def test_one_range_gives_206(client: FlaskClient, asked: str, start: int, end: int) -> None:
    answer = client.get(f"/{BUNDLE_PATH}", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.data == BUNDLE[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BUNDLE)}"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={len(BUNDLE)}-", "bytes=-0", f"bytes={10**17}-{10**17}"])
def test_range_behind_the_end_gives_416(client: FlaskClient, asked: str) -> None:
    answer = client.get(f"/{BUNDLE_PATH}", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BUNDLE)}"
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=0-,0-,0-,0-",
        "items=0-1",
        "bytes=5-4",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=\u0663-",
        "bytes 0-1",
        f"bytes={'9' * 5000}-",
        "",
    ],
)
def test_other_ranges_are_ignored(client: FlaskClient, asked: str) -> None:
    assert parse_range(asked, len(BUNDLE)) is None
    if asked.isascii():
        answer = client.get(f"/{BUNDLE_PATH}", headers={"Range": asked})
        assert (answer.status_code, answer.data) == (200, BUNDLE)


def test_ranges_of_an_empty_file() -> None:
    assert parse_range(None, 0) is None
    for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        with pytest.raises(UnsatisfiableRangeError):
            parse_range(asked, 0)
    assert parse_range("bytes=0-", 1) == Span(0, 1)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (f'"{BUNDLE_SHA256}"', 206),
        (f'W/"{BUNDLE_SHA256}"', 200),
        ('"other"', 200),
        ("Sun, 22 Nov 2099 12:00:00 GMT", 200),
        (BUNDLE_SHA256, 200),
    ],
)
def test_if_range(client: FlaskClient, condition: str, status: int) -> None:
    answer = client.get(f"/{BUNDLE_PATH}", headers={"Range": "bytes=0-9", "If-Range": condition})
    assert answer.status_code == status
    assert answer.data == (BUNDLE[:10] if status == 206 else BUNDLE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [TIMESTAMP, "/", "/api/v1/skills", "/healthz", "/nothing"])
def test_other_methods_give_405(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.get_json()["code"] == "method-not-allowed"


def test_files_are_closed(client: FlaskClient) -> None:
    handles = Path("/dev/fd")
    assert client.get(f"/{BUNDLE_PATH}").data
    before = len(list(handles.iterdir()))
    for _ in range(5):
        assert client.get(f"/{BUNDLE_PATH}").data
        client.head(f"/{BUNDLE_PATH}")
        client.get(f"/{BUNDLE_PATH}", headers={"If-None-Match": "*"})
        client.get(f"/{BUNDLE_PATH}", headers={"Range": "bytes=999999999-"})
        client.get("/metadata")
        client.get("/metadata/nothing")
        client.get(f"/{BUNDLE_PATH}", buffered=False).close()  # the client went away before the body
    assert len(list(handles.iterdir())) == before


def test_published_package_file(client: FlaskClient) -> None:
    answer = client.get("/FreeBSD:14:amd64/latest/meta.conf", headers={"Host": "pkg.clawdie.si"})
    assert answer.data == META_CONF
    assert answer.headers["Content-Type"] == "application/octet-stream"
