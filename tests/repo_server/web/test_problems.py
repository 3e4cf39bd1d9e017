"""Every error is a problem document, and none tells more than its reader may know."""

import logging

import pytest
from flask.testing import FlaskClient

from signing.errors import (
    ConflictError,
    FormatError,
    HostError,
    KeyAccessError,
    NotFoundError,
    RevokedError,
    SkillRepoError,
    TransportError,
)
from tests.repo_server.web.published import CatalogueInMemory

SECRET = "/srv/keys/online: permission denied"


def test_shape(client: FlaskClient) -> None:
    answer = client.get("/metadata/99.root.json")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.get_json() == {
        "type": "https://skills.clawdie.si/problems/not-found",
        "title": "Not found",
        "status": 404,
        "detail": "nothing is published at this address",
        "code": "not-found",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("absent"), 404),
        (FormatError("not that"), 400),
        (ConflictError("somebody was first"), 409),
    ],
)
def test_errors_about_the_request_say_what_happened(
    client: FlaskClient, catalogue: CatalogueInMemory, error: SkillRepoError, status: int
) -> None:
    catalogue.error = error
    answer = client.get("/api/v1/skills")
    assert answer.status_code == answer.get_json()["status"] == status
    assert answer.get_json()["code"] == error.code
    assert answer.get_json()["detail"] == error.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError(SECRET), (503, "unreachable")),
        (HostError(SECRET), (503, "host-failed")),
        (KeyAccessError(SECRET), (500, "key-not-available")),
        (RevokedError(SECRET), (500, "revoked")),
        (SkillRepoError(SECRET), (500, "error")),
        (RuntimeError(SECRET), (500, "internal-error")),
        (KeyError(SECRET), (500, "internal-error")),
        (RecursionError(SECRET), (500, "internal-error")),
    ],
)
def test_errors_about_us_go_to_the_log_and_not_to_strangers(
    client: FlaskClient,
    catalogue: CatalogueInMemory,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    expected: tuple[int, str],
) -> None:
    catalogue.error = error
    with caplog.at_level(logging.ERROR):
        answer = client.get("/api/v1/skills?a=b")
    assert (answer.status_code, answer.get_json()["code"]) == expected
    assert answer.content_type == "application/problem+json"
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    assert type(error).__name__ not in answer.text
    assert SECRET in caplog.text


def test_log_lines_cannot_be_forged_by_a_path(
    client: FlaskClient,
    catalogue: CatalogueInMemory,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr("repo_server.web.hot.HotFiles.open", fail)
    assert client.get("/x%0dERROR%20forged").status_code == 500
    assert "\rERROR forged" not in caplog.text
    assert r"\rERROR forged" in caplog.text


def test_large_bodies_are_refused(client: FlaskClient) -> None:
    answer = client.get("/metadata/timestamp.json", data=b"x" * 100_000)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "request-entity-too-large")


def test_importing_the_package_does_not_import_flask() -> None:
    import subprocess
    import sys

    program = "import sys, repo_server.web, repo_server.web.catalogue, repo_server.web.sites; assert 'flask' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
