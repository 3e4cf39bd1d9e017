"""The read API: documents, one spelling of names, caching."""

import pytest
from flask.testing import FlaskClient

from tests.repo_server.web.published import BUNDLE, BUNDLE_SHA256, CatalogueInMemory


def test_list_of_skills(client: FlaskClient) -> None:
    assert client.get("/api/v1/skills").get_json() == {
        "skills": [{"name": "web-search", "kind": "skill", "latest": "1.2.0", "description": "Searches."}]
    }


def test_releases_of_a_skill(client: FlaskClient) -> None:
    document = client.get("/api/v1/skills/web-search").get_json()
    assert document["name"] == "web-search"
    assert [release["version"] for release in document["releases"]] == ["1.2.0"]


def test_release(client: FlaskClient) -> None:
    document = client.get("/api/v1/skills/web-search/1.2.0").get_json()
    assert document["bundle_path"] == "skills/web-search/1.2.0/web-search-1.2.0.tar.gz"
    assert document["bundle_sha256"] == BUNDLE_SHA256
    assert document["bundle_bytes"] == len(BUNDLE)
    assert document["published_at"] == "2026-11-22T12:00:00Z"
    assert document["reviewers"] == ["alice", "bob"]
    assert list(document) == sorted(document)


def test_profiles(client: FlaskClient) -> None:
    (profile,) = client.get("/api/v1/profiles").get_json()["profiles"]
    assert set(profile) == {"name", "version", "sha256"}


def test_status(client: FlaskClient) -> None:
    assert client.get("/api/v1/status").get_json() == {
        "dev": True,
        "problems": ["a throw-away key"],
        "roles": {"timestamp": {"version": 9, "expires": "2026-11-23T12:00:00Z"}},
    }


@pytest.mark.parametrize("path", ["skills/absent", "skills/web-search/9.9", "nothing", "skills/a/1.0/x", ""])
def test_absent_things_are_not_found(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    "path",
    [
        "skills/Web-Search",
        "skills/web_search",
        "skills/web-search/1.02",
        "skills/web-search/1.2.0+x",
        "skills/%00",
    ],
)
def test_other_spellings_are_refused(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed")


def test_caching(client: FlaskClient, catalogue: CatalogueInMemory) -> None:
    first = client.get("/api/v1/skills")
    assert first.headers["Cache-Control"] == "no-cache"
    headers = {"If-None-Match": first.headers["ETag"]}
    again = client.get("/api/v1/skills", headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    catalogue.pins.clear()
    assert client.get("/api/v1/skills", headers=headers).status_code == 200
    assert client.head("/api/v1/skills").data == b""


def test_the_api_is_on_the_skills_site_only(client: FlaskClient) -> None:
    assert client.get("/api/v1/skills", headers={"Host": "pkg.clawdie.si"}).status_code == 404
