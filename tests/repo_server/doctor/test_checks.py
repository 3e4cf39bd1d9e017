"""`skillrepo doctor`: each thing that it looks at is broken here, and it says so, and how it is mended."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from repo_server.db.models import MetadataRow
from repo_server.db.session import transaction
from repo_server.doctor.checks import CHECKS, Examined
from repo_server.policy import NAME as POLICY
from repo_server.storage.local import LocalBlobs
from repo_server.tokens import Scope, new_token
from signing.checkup import Outcome, Result, examine
from signing.format.digest import Sha256
from tests.support.serials import make_index, publish_serial
from tests.support.world import World, now


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.build(tmp_path_factory.mktemp("doctor"), bins=2)
    world.publish_skill("web-search==1.0")
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now() - timedelta(hours=1)))
    world.repository.keys.mkdir(mode=0o700)
    for name in ("online.key.json", "online.pub.json"):
        shutil.copy(world.folder / "people" / name, world.repository.keys / name)
        (world.repository.keys / name).chmod(0o600)
    return world


@pytest.fixture
def world(first: World, tmp_path: Path) -> World:
    return first.copy_to(tmp_path / "world")


def looked(world: World, at: datetime | None = None) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in examine(CHECKS, Examined(repository=world.repository, now=at or now())):
        found.setdefault(result.check, []).append(result)
    return found


def wrong(world: World, at: datetime | None = None) -> dict[str, str]:
    """What is not well, by check."""
    return {
        check: " / ".join(f"{item.said.outcome}: {item.said.says} → {item.said.fix}" for item in results)
        for check, results in looked(world, at).items()
        if any(item.said.outcome is not Outcome.OK for item in results)
    }


def test_a_repository_that_is_well(world: World) -> None:
    assert wrong(world) == {}
    assert list(looked(world)) == list(CHECKS)


@pytest.mark.parametrize("path", ["keys", "keys/online.key.json", "repository.db", "blobs"])
def test_what_others_may_read(world: World, path: str) -> None:
    (world.repository.folder / path).chmod(0o755)
    assert list(wrong(world)) == ["private"]
    assert f"others may read {path}" in wrong(world)["private"]


@pytest.mark.parametrize("path", ["", "repository.toml", "trust-anchor.json", "public"])
def test_what_others_may_change(world: World, path: str) -> None:
    (world.repository.folder / path).chmod(0o777)
    assert "others may change" in wrong(world)["private"]


def test_a_log_that_was_changed(world: World) -> None:
    with transaction(world.repository.engine) as session:
        session.execute(text("DELETE FROM log WHERE sequence = 2"))
    assert "broken-chain" in wrong(world)["database"]


def test_a_clock_that_was_set_back(world: World) -> None:
    assert "set this machine's clock" in wrong(world, now() - timedelta(hours=2))["database"]


def test_metadata_that_was_altered_in_the_database(world: World) -> None:
    with transaction(world.repository.engine) as session:
        row = session.get_one(MetadataRow, ("profiles", 1))
        row.content = row.content.replace(b'"targets":{}', b'"targets":{},"x":1')
    assert "profiles" in wrong(world)["roles"]
    assert "do not sign" in wrong(world)["roles"]


def test_a_role_that_ends_soon_and_one_that_has_ended(world: World) -> None:
    soon = wrong(world, now() + timedelta(days=21))["roles"]
    assert "warn: revocations expires" in soon
    gone = wrong(world, now() + timedelta(days=31))["roles"]
    assert "bad: revocations expired" in gone


def test_another_online_key_than_root_names(world: World) -> None:
    # What the key file holds counts, and not the public half that was left beside it.
    shutil.copy(world.folder / "people/alice.key.json", world.repository.keys / "online.key.json")
    assert "not the one that root names" in wrong(world)["online-key"]
    assert "root next" in wrong(world)["online-key"]
    (world.repository.keys / "online.key.json").unlink()
    assert wrong(world)["online-key"].startswith("warn: no online key here")


@pytest.mark.parametrize("name", ["1.root.json", "1.targets.json"])
def test_a_published_file_that_is_gone(world: World, name: str) -> None:
    (world.public / "metadata" / name).unlink()
    said = wrong(world)["tree"]
    assert name in said
    assert "skillrepo refresh" in said
    world.refresh()
    assert wrong(world) == {}


def test_a_target_that_is_gone(world: World) -> None:
    bundle = next((world.public / "targets/skills").rglob("*.tar.gz"))
    bundle.unlink()
    assert "skills/web-search/1.0" in wrong(world)["tree"]


def test_an_old_timestamp_put_back(world: World) -> None:
    old = (world.public / "metadata/timestamp.json").read_bytes()
    world.refresh()
    (world.public / "metadata/timestamp.json").write_bytes(old)
    assert "not the newest" in wrong(world)["tree"]


def test_a_serial_that_is_not_the_one_published(world: World) -> None:
    (world.repository.pkg_root / "FreeBSD:14:amd64/latest").unlink()
    assert "serves serial None, and 1 was published" in wrong(world)["tree"]


class Other(LocalBlobs):
    def load(self, digest: Sha256) -> bytes:
        return super().load(digest)[:-1] + b"x"


class Unlisted(LocalBlobs):
    def untouched(self, *, since: datetime) -> "list[tuple[Sha256, int]]":  # type: ignore[override]
        del since
        return []


class Kept(LocalBlobs):
    def remove(self, digest: Sha256) -> None:
        del digest


@pytest.mark.parametrize(
    ("store", "said"), [(Other, "comes back as another"), (Unlisted, "not listed"), (Kept, "still there")]
)
def test_a_store_that_does_not_keep_its_word(
    world: World, store: Callable[[Path], LocalBlobs], said: str
) -> None:
    broken = replace(world.repository, large_blobs=store(world.repository.folder / "blobs"))
    results = examine(CHECKS, Examined(repository=broken, now=now()))
    assert said in " ".join(item.said.says for item in results if item.said.outcome is Outcome.BAD)


def test_the_probe_leaves_nothing(world: World) -> None:
    def blobs() -> set[str]:
        return {path.name for path in (world.repository.folder / "blobs").rglob("*") if path.is_file()}

    before = blobs()
    looked(world)
    assert blobs() == before


def test_a_full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1 << 40, 1 << 40, 5 << 20))
    assert "5 MiB are left" in wrong(world)["space"]


def test_a_policy_that_cannot_be_used(world: World) -> None:
    (world.repository.folder / POLICY).write_text("reviewers = 'two'\n")
    assert "bad: malformed" in wrong(world)["policy"]


def test_a_token_that_ends_soon(world: World) -> None:
    with transaction(world.repository.engine) as session:
        new_token(
            session, name="alice", scope=Scope.parse("curate"), now=now(), expires=now() + timedelta(days=10)
        )
    assert "1 token(s) end within two weeks: alice" in wrong(world)["tokens"]


@pytest.mark.slow
def test_the_command(world: World) -> None:
    repo = ("--repo", str(world.repository.folder))
    status, document = command(*repo, "doctor")
    assert (status, document["ok"]) == (0, True)
    assert document["counts"] == {"ok": len(CHECKS), "warn": 0, "bad": 0}
    (world.public / "metadata/1.root.json").unlink()
    status, document = command(*repo, "doctor", "--quiet")
    assert (status, document["ok"]) == (6, False)
    assert [item["check"] for item in document["checks"]] == ["tree"]
    status, document = command("--repo", str(world.folder / "nowhere"), "doctor")
    assert (status, document["not_made"]) == (6, len(CHECKS))


def command(*words: str) -> tuple[int, dict[str, Any]]:
    program = Path(sys.executable).parent / "skillrepo"
    done = subprocess.run([program, *words, "--json"], capture_output=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)
