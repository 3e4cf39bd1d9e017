"""Somebody puts the repository's database back before a curator signs: the curator's own side remembers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk, skill_folder
from tests.cli.warm import WarmDesk

REPO = ("skillrepo", "--repo", "repo", "--passphrase-file", "repo/keys/passphrase")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[WarmDesk]:
    with WarmDesk(Desk(tmp_path)) as warm:
        warm.run("skillrepo", "init", "repo", "--dev")
        for holder in ("curator-1", "curator-2"):
            own = tmp_path / holder
            own.mkdir(mode=0o700)
            for name in (f"{holder}.key.json", f"{holder}.pub.json"):
                shutil.copy(tmp_path / "repo/keys" / name, own / name)
            shutil.copy(tmp_path / "repo/trust-anchor.json", own)
        yield warm


def by(holder: str) -> tuple[str, ...]:
    return (*REPO, "--keys", holder)


def publish(desk: WarmDesk, name: str) -> None:
    skill = skill_folder(desk.folder / name, name)
    number = desk.json(*REPO, "import", str(skill), "--version", "1.0.0")["candidate"]
    desk.run(*by("curator-1"), "review", number, "--approve", "--reason", "fine", "--as", "curator-1")
    for holder in ("curator-1", "curator-2"):
        desk.run(*by(holder), "sign", number, "--as", holder, "--yes")
    desk.run(*REPO, "publish")


def database(desk: WarmDesk) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (desk.folder / "repo").glob("*.db*")}


def put_back(desk: WarmDesk, files: dict[Path, bytes]) -> None:
    for path in (desk.folder / "repo").glob("*.db*"):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


def test_an_older_state_is_signed_by_nobody_who_saw_a_newer_one(desk: WarmDesk) -> None:
    publish(desk, "first")
    before = database(desk)
    publish(desk, "second")
    desk.run(
        *by("curator-1"), "renew", "revocations", "--as", "curator-1", "--yes"
    )  # looks at the newest state
    newest = database(desk)
    put_back(desk, before)
    for words in (("renew", "skills", "--yes"), ("renew", "revocations", "--yes")):
        refused = desk.json(*by("curator-1"), *words, "--as", "curator-1", status=11)
        assert refused["error"]["code"] == "rollback"
        assert "was seen here already" in refused["error"]["message"]
    now = database(desk)
    assert {path for path in before if before[path] != now[path] and path.suffix != ".db-shm"} == set()
    put_back(desk, newest)
    desk.run(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes")


def test_a_lie_about_versions_does_not_become_a_memory(desk: WarmDesk) -> None:
    """Metadata that nobody signed, with an enormous number: the honest state is not older than that."""
    import sqlite3

    publish(desk, "first")
    before = database(desk)
    with sqlite3.connect(next(path for path in before if path.suffix == ".db")) as connection:
        row = connection.execute(
            "select max(version), content from metadata where role = 'profiles'"
        ).fetchone()
        connection.execute(
            "insert into metadata (role, version, content, published_at) "
            "select role, 1000000, ?, published_at from metadata where role = 'profiles' and version = ?",
            (row[1].replace(b'"version":1', b'"version":1000000'), row[0]),
        )
    connection.close()
    desk.run(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes")
    put_back(desk, before)
    desk.run(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes")


def test_a_role_that_was_hidden_once_is_not_forgotten(desk: WarmDesk) -> None:
    """Spoiled while something else is signed, and then put back older."""
    import sqlite3

    publish(desk, "first")
    desk.run(*by("curator-1"), "renew", "revocations", "--as", "curator-1", "--yes")
    desk.run(*REPO, "publish")
    desk.run(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes")  # sees the newest list
    file = desk.folder / "repo/repository.db"

    def change(statement: str) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute(statement)
        connection.close()

    newest = (
        "role = 'revocations' and version = (select max(version) from metadata where role = 'revocations')"
    )
    change(f"update metadata set content = X'7b7d' where {newest}")
    desk.run(*by("curator-1"), "renew", "profiles", "--as", "curator-1", "--yes", status=None)
    change(f"delete from metadata where {newest}")
    refused = desk.json(*by("curator-1"), "renew", "revocations", "--as", "curator-1", "--yes", status=11)
    assert refused["error"]["code"] == "rollback"


def test_keys_on_a_medium_that_cannot_be_written_are_warned_about(desk: WarmDesk) -> None:
    own = desk.folder / "curator-1"
    (own / f"seen-{anchor_id(desk)}.json.lock").mkdir()
    publish_words = desk.run(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes")
    assert "whether this state is older than one you saw is not known" in publish_words.stderr


def test_a_damaged_memory_stops_everything(desk: WarmDesk) -> None:
    (desk.folder / "curator-1" / f"seen-{anchor_id(desk)}.json").write_bytes(b"{}")
    refused = desk.json(*by("curator-1"), "renew", "skills", "--as", "curator-1", "--yes", status=11)
    assert refused["error"]["code"] == "could-not-verify"


def anchor_id(desk: WarmDesk) -> str:
    import hashlib

    return hashlib.sha256((desk.folder / "repo/trust-anchor.json").read_bytes()).hexdigest()[:16]
