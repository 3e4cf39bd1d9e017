"""Alive and ready are different questions."""

import shutil
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from repo_server.web.config import WebConfig
from tests.repo_server.web.published import NOW, CatalogueInMemory, timestamp, write


def test_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ready", "reasons": []})
    assert answer.headers["Cache-Control"] == "no-store"


def test_alive_whatever_happens(client: FlaskClient, config: WebConfig, catalogue: CatalogueInMemory) -> None:
    catalogue.error = RuntimeError("gone")
    (config.skills_root / "metadata" / "timestamp.json").unlink()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=1), timedelta(days=400)])
def test_expired_timestamp(client: FlaskClient, config: WebConfig, age: timedelta) -> None:
    write(config.skills_root, "metadata/timestamp.json", timestamp(NOW - age))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    (reason,) = answer.get_json()["reasons"]
    assert reason.startswith("timestamp.json expired at 20")


def test_timestamp_of_the_last_second_is_ready(client: FlaskClient, config: WebConfig) -> None:
    write(config.skills_root, "metadata/timestamp.json", timestamp(NOW + timedelta(seconds=1)))
    assert client.get("/readyz").status_code == 200


def test_missing_tree(client: FlaskClient, config: WebConfig) -> None:
    shutil.rmtree(config.skills_root)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (503, ["timestamp.json is missing"])
    assert client.get("/healthz").status_code == 200


def test_missing_timestamp(client: FlaskClient, config: WebConfig) -> None:
    (config.skills_root / "metadata" / "timestamp.json").unlink()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (503, ["timestamp.json is missing"])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"signed":{}}', b'{"signed":{"expires":7}}', b'{"signed":[]}', b"[" * 9000],
)
def test_malformed_timestamp(client: FlaskClient, config: WebConfig, content: bytes) -> None:
    write(config.skills_root, "metadata/timestamp.json", content)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (503, ["timestamp.json is malformed"])


def test_all_reasons_are_listed_and_none_leaks(
    client: FlaskClient, config: WebConfig, catalogue: CatalogueInMemory
) -> None:
    catalogue.error = RuntimeError("postgresql://user:password@db")
    (config.skills_root / "metadata" / "timestamp.json").unlink()
    answer = client.get("/readyz")
    assert answer.get_json() == {
        "status": "not ready",
        "reasons": ["the catalogue does not answer", "timestamp.json is missing"],
    }
    assert b"password" not in answer.data
