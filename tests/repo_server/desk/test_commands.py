"""The whole story by the installed commands: a server without curators' keys, and two curators' machines."""

import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signing.format.digest import sha256_of
from tests.cli.session import Desk, skill_folder
from tests.cli.warm import WarmDesk
from tests.support.world import PASSPHRASE, World

pytestmark = pytest.mark.slow


@dataclass
class Curator:
    """One person's machine: own keys, own anchor, own token, own mirror."""

    desk: WarmDesk
    name: str
    url: str

    @property
    def options(self) -> tuple[str, ...]:
        home = f"{self.name}"
        return (
            *("--repo", self.url, "--keys", f"{home}/keys", "--token-file", f"{home}/token"),
            *("--mirror", f"{home}/mirror", "--passphrase-file", f"{home}/passphrase"),
        )

    def run(self, *words: str, status: int = 0) -> Any:
        return self.desk.run("skillrepo", *self.options, *words, status=status)

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        return self.desk.json("skillrepo", *self.options, *words, status=status)


def private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def server(world: World) -> Iterator[World]:
    """A repository folder with the online key and nobody else's."""
    repository = world.repository
    repository.keys.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(world.folder / "people" / "online.key.json", repository.keys)
    private(world.folder / "online-passphrase", PASSPHRASE)
    settings = repository.folder / "repository.toml"
    settings.write_text(settings.read_text().replace("dev = true", "dev = false"))
    repository.engine.dispose()
    yield world
    names = {path.name for path in repository.folder.rglob("*.key.json")}
    assert names == {"online.key.json"}  # before, and after everything that curators did


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    yield
    WarmDesk.close()


def curator(desk: WarmDesk, folder: Path, world: World, name: str, url: str) -> Curator:
    home = folder / name
    (home / "keys").mkdir(parents=True)
    shutil.copy(world.folder / "people" / f"{name}.key.json", home / "keys")
    (home / "keys" / "trust-anchor.json").write_bytes(world.anchor)
    private(home / "passphrase", PASSPHRASE)
    repo = str(world.repository.folder)
    made = desk.json(
        "skillrepo", "--repo", repo, "token", "new", "--scope", "curate", "--expires", "7", "--name", name
    )
    private(home / "token", made["token"] + "\n")
    return Curator(desk, name, url)


@pytest.fixture
def machine(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def desk(machine: Desk) -> Iterator[WarmDesk]:
    with WarmDesk(machine) as warm:
        yield warm


def test_from_import_to_revocation(server: World, tmp_path: Path, machine: Desk, desk: WarmDesk) -> None:
    repo = str(server.repository.folder)
    passphrase = str(server.folder / "online-passphrase")
    skill_folder(tmp_path / "notes", "notes", "Write notes.")
    serve = ("skillrepo", "--repo", repo, "--online-passphrase-file", passphrase, "serve", "--desk")
    with machine.serving(*serve, "--port", "0") as url:
        alice, bob, olga = (curator(desk, tmp_path, server, name, url) for name in ("alice", "bob", "olga"))
        candidate = alice.json("import", "notes", "--version", "1.0")["candidate"]
        review = alice.json("review", candidate)
        waive = [
            word
            for finding in review["findings"]
            if finding["severity"] == "block"
            for word in ("--waive", f"{finding['id']}=a test file")
        ]
        decide = ("--approve", "--reason", "read it", *waive)
        assert alice.json("review", candidate, *decide, "--as", "alice")["state"] == "reviewed"
        assert alice.json("sign", candidate, "--as", "alice", "--yes")["complete"] is False
        refused = alice.json("publish", status=11)
        assert refused["error"]["code"] == "threshold-not-met"
        assert bob.json("sign", "notes", "--as", "bob", "--yes")["complete"] is True
        published = bob.json("publish")
        assert published["published"] == [{"kind": "release", "name": "notes", "version": "1.0"}]
        assert alice.json("show", "notes")["releases"][0]["state"] == "published"
        olga.json("profile", "new", "writer==1", "--skill", "notes==1.0")
        assert olga.json("profile", "sign", "writer==1", "--as", "olga", "--yes")["published"] is True
        bob.json("renew", "revocations", "--as", "bob", "--yes")
        bob.json("publish")
        bob.json(
            "revoke", "notes==1.0", "--reason", "steals", "--severity", "critical", "--as", "bob", "--yes"
        )
        assert alice.json("show", "notes")["releases"][0]["state"] == "revoked"
        assert alice.json("log", "--verify")["records"] > 10
        assert "candidate.signed" in alice.run("log").stdout
        states = {item["name"]: item["state"] for item in alice.json("status")["candidates"]}
        assert states["notes"] == "published"
    everything = "".join(answer.stdout + answer.stderr for answer in machine.transcript)
    tokens = [(tmp_path / name / "token").read_text().strip() for name in ("alice", "bob", "olga")]
    for token in tokens:
        assert everything.count(token) == 1  # when it was made


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_uploads_on_both_servers(
    server: World, tmp_path: Path, machine: Desk, desk: WarmDesk, kind: str
) -> None:
    skill_folder(tmp_path / "notes", "notes", "Write notes.")
    noise = b"".join(bytes([i * 7 % 256, i * 31 % 251, i * i % 253]) for i in range(900_000))
    (tmp_path / "notes" / "data.bin").write_bytes(noise)
    serve = ("skillrepo", "--repo", str(server.repository.folder), "serve", "--desk", "--server", kind)
    with machine.serving(*serve, "--port", "0") as url:
        alice = curator(desk, tmp_path, server, "alice", url)
        candidate = alice.json("import", "notes", "--version", "1.0")["candidate"]
        assert alice.json("status")["candidates"][-1]["candidate"] == candidate
        shown = machine.talk("skillrepo", *alice.options, "import", "notes", "--version", "1.0", answers=[])
        assert shown[0] == 0
        assert ("uploading" in shown[1]) == (len(noise) > 1 << 20)
        assert "uploading" not in "".join(answer.stderr for answer in machine.transcript)
        _revoke(desk, server)
        (tmp_path / "notes" / "more.txt").write_text("more")
        refused = alice.json("import", "notes", "--version", "1.1", status=12)
        assert refused["error"]["code"] == "token-refused"
    assert server.repository.blobs.load(sha256_of(noise)) == noise


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_bodies_that_drip_in_keep_nobody_waiting(
    server: World, tmp_path: Path, machine: Desk, desk: WarmDesk, kind: str
) -> None:
    serve = ("skillrepo", "--repo", str(server.repository.folder), "serve", "--desk", "--server", kind)
    with machine.serving(*serve, "--port", "0") as url, ExitStack() as stack:
        alice = curator(desk, tmp_path, server, "alice", url)
        good = (tmp_path / "alice" / "token").read_text().strip()
        port = int(url.rpartition(":")[2])
        for token in ["skt_none"] * 30 + [good] * 8:
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            slow.sendall(
                b"POST /api/v1/desk/candidates HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\nAuthorization: Bearer %s\r\n\r\n--b\r\n"
                % token.encode()
            )
        begun = time.monotonic()
        assert alice.json("status")["published"] == 1
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
            assert answer.status == 200
        assert time.monotonic() - begun < 10


def _revoke(desk: WarmDesk, server: World) -> None:
    words = ("skillrepo", "--repo", str(server.repository.folder), "token")
    desk.json(*words, "revoke", desk.json(*words, "list")["tokens"][0]["id"])


def test_what_is_refused_before_anything_is_sent(
    server: World, tmp_path: Path, machine: Desk, desk: WarmDesk
) -> None:
    repo = str(server.repository.folder)
    with machine.serving("skillrepo", "--repo", repo, "serve", "--desk", "--port", "0") as url:
        alice = curator(desk, tmp_path, server, "alice", url)
        assert alice.json("publish", status=7)["error"]["code"] == "key-not-available"
        for words in (("refresh",), ("serve",), ("token", "list")):
            document = alice.json(*words, status=2)
            assert "machine that has the repository" in document["error"]["message"]
        (tmp_path / "alice" / "token").chmod(0o644)
        assert alice.json("status", status=7)["error"]["code"] == "key-not-available"
        (tmp_path / "alice" / "token").chmod(0o600)
        (tmp_path / "alice" / "keys" / "trust-anchor.json").unlink()
        assert "anchor of your own" in alice.json("status", status=2)["error"]["message"]
        (tmp_path / "alice" / "keys" / "trust-anchor.json").write_bytes(server.anchor)
        token = desk.json("skillrepo", "--repo", repo, "token", "list")["tokens"][0]
        assert (token["name"], token["state"]) == ("alice", "good")
        assert token["last_used"] is not None
        desk.json("skillrepo", "--repo", repo, "token", "revoke", token["id"])
        assert alice.json("status", status=12)["error"]["code"] == "token-refused"
    assert alice.json("status", status=5)["error"]["code"] == "unreachable"
    nobody = ("--repo", url, "--trust-anchor", f"{repo}/trust-anchor.json", "status")
    assert desk.json("skillrepo", *nobody, status=7)["error"]["code"] == "key-not-available"
    for wrong in ("http://skills.example", "https://user@skills.example", "https://skills.example/x"):
        document = desk.json("skillrepo", "--repo", wrong, *nobody[2:], status=2)
        assert document["error"]["code"] == "usage"
