"""Package repositories by commands from elsewhere: appoint, publish, go back; and what a token may send."""

import http.client
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from repo_server.pkgrepo.uploads import FOLDER
from signing.format.digest import sha256_of
from tests.cli.session import Desk
from tests.support.publishing import make_build
from tests.support.world import PASSPHRASE, World

REPO = "FreeBSD:15:aarch64/quarterly"
WHERE = ("--abi", "FreeBSD:15:aarch64", "--channel", "quarterly")

pytestmark = pytest.mark.slow


@dataclass
class Person:
    """One machine: own keys, own anchor, own token."""

    desk: Desk
    name: str
    url: str
    settings: dict[str, str] = field(default_factory=dict)

    def json(self, *words: str, status: int = 0, **settings: str) -> dict[str, Any]:
        return self.desk.json("skillrepo", *words, status=status, env={**self.settings, **settings})


def private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def server(world: World) -> Iterator[World]:
    """A repository folder with the online key and nobody else's."""
    world.repository.keys.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(world.folder / "people/online.key.json", world.repository.keys)
    private(world.folder / "online-passphrase", PASSPHRASE)
    world.repository.engine.dispose()
    yield world
    assert {path.name for path in world.repository.folder.rglob("*.key.json")} == {"online.key.json"}


def serve(desk: Desk, server: World, *more: str) -> Any:
    secret = ("--online-passphrase-file", str(server.folder / "online-passphrase"))
    return desk.serving(
        "skillrepo", "--repo", str(server.repository.folder), *secret, "serve", "--desk", "--port", "0", *more
    )


def token(desk: Desk, server: World, name: str, scope: str) -> str:
    repo = ("--repo", str(server.repository.folder))
    words = ("token", "new", "--scope", scope, "--expires", "7", "--name", name)
    return str(desk.json("skillrepo", *repo, *words)["token"])


def person(desk: Desk, server: World, name: str, url: str, scope: str) -> Person:
    home = desk.folder / name
    (home / "keys").mkdir(parents=True)
    shutil.copy(server.folder / f"people/{name}.key.json", home / "keys")
    (home / "keys/trust-anchor.json").write_bytes(server.anchor)
    settings = {
        "SKILLREPO_REPO": url,
        "SKILLREPO_KEYS": str(home / "keys"),
        "SKILLREPO_AS": name,
        "SKILLREPO_PASSPHRASE_FILE": str(private(home / "passphrase", PASSPHRASE)),
        "SKILLREPO_TOKEN_FILE": str(private(home / "token", token(desk, server, name, scope))),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
    }
    return Person(desk, name, url, settings)


def test_appointed_published_and_gone_back_from_elsewhere(desk: Desk, server: World) -> None:
    with serve(desk, server) as url:
        alice, bob = (person(desk, server, name, url, "curate") for name in ("alice", "bob"))
        host = person(desk, server, "mallory", url, f"publish-pkg:{REPO}")
        key = str(server.folder / "people/mallory.pub.json")
        alice.json("--keys", "carol", "key", "new", "carol")
        other = str(desk.folder / "carol/carol.pub.json")

        refused = host.json("pkg", "builder", REPO, "--key", key, "--as", "mallory", status=12)
        assert refused["error"]["code"] == "not-entitled"
        first = alice.json("pkg", "builder", REPO, "--key", other)
        assert (first["complete"], first["published"], first["replaces"]) == (False, False, None)
        refused = bob.json("pkg", "builder", REPO, "--key", key, status=11)
        assert "another key is proposed" in refused["error"]["message"]
        assert bob.json("pkg", "builder", REPO, "--drop")["dropped"] is True
        assert alice.json("pkg", "builder", REPO, "--key", key)["missing"] == ["bob"]
        assert alice.json("publish", status=11)["error"]["code"] == "threshold-not-met"
        assert bob.json("pkg", "builder", REPO, "--key", key)["published"] is True

        host.json("pkg", "key", "new", "pkg-15", "--kind", "ecdsa")
        host.settings["SKILLREPO_PKG_KEY"] = str(desk.folder / "mallory/keys/pkg-15.pkg.key")
        for version in ("1.0", "1.1"):
            build = make_build(desk.folder / version, {"demo": version}, abi="FreeBSD:15:*")
            done = host.json("pkg", "publish", "--packages", str(build), *WHERE)
            assert (done["state"], done["pkg_site_checked"]) == ("published", True)
        listed = host.json("pkg", "serials", REPO)["serials"]
        assert [(item["serial"], item["served"], item["signed_by"]) for item in listed] == [
            (2, True, ["mallory"]),
            (1, False, ["mallory"]),
        ]
        assert host.json("pkg", "serials", status=2)["error"]["code"] == "usage"

        back = ("pkg", "rollback", REPO, "--to", "1", "--reason", "1.1 does not start")
        assert alice.json(*back, status=12)["error"]["code"] == "not-entitled"
        done = host.json(*back)
        assert (done["serial"], done["from_serial"], done["replaces"], done["packages"]) == (3, 1, 2, 1)
        assert host.json(*back, status=4)["error"]["code"] == "conflict"
        assert [item["serial"] for item in host.json("pkg", "serials", REPO)["serials"]] == [3, 2, 1]
    folder = server.repository.pkg_root / REPO
    index = json.loads((folder / "repo.json").read_bytes())
    assert index["intent"] == {
        "kind": "rollback",
        "by": "mallory",
        "reason": "1.1 does not start",
        "serial": 1,
    }
    assert (folder / "All/demo-1.0.pkg").exists()
    said = "".join(answer.stdout + answer.stderr for answer in desk.transcript)
    assert PASSPHRASE not in said


def test_a_folder_takes_the_online_key_and_says_so(desk: Desk, server: World) -> None:
    """A build host that has the repository on its own disk signs twice: as the builder, and as the repository."""
    host = person(desk, server, "builder", str(server.repository.folder), "curate")
    host.json("pkg", "key", "new", "pkg-14", "--kind", "ecdsa")
    host.settings["SKILLREPO_PKG_KEY"] = str(desk.folder / "builder/keys/pkg-14.pkg.key")
    build = make_build(desk.folder / "build", {"demo": "1.0"})
    words = ("pkg", "publish", "--packages", str(build), "--abi", "FreeBSD:14:amd64", "--channel", "latest")
    wrong = str(private(desk.folder / "wrong", "another passphrase"))
    refused = host.json(*words, status=7, SKILLREPO_ONLINE_PASSPHRASE_FILE=wrong)
    assert "so its online key signs here too" in refused["error"]["message"]
    assert "--online-passphrase-file" in refused["error"]["hint"]
    served = server.repository.pkg_root / "FreeBSD:14:amd64/latest/repo.json"
    assert not served.exists()
    right = str(server.folder / "online-passphrase")
    assert host.json(*words, SKILLREPO_ONLINE_PASSPHRASE_FILE=right)["state"] == "published"
    assert served.exists()


def test_a_token_sends_no_more_than_its_quota(desk: Desk, server: World) -> None:
    """What counts is what was begun, too: a file need not come whole to fill a disk."""
    gib = 1 << 30
    scope = f"publish-pkg:{REPO}"
    one, two = (token(desk, server, name, scope) for name in ("one", "two"))
    with serve(desk, server, "--upload-quota", "1") as url:
        assert put(url, one, b"first", gib + 1) == (403, "not-entitled")
        assert kept(server) == []
        assert put(url, one, b"first", gib) == (200, None)
        assert put(url, one, b"second", 1) == (403, "not-entitled")
        assert put(url, two, b"second", 1000) == (200, None)  # another token has its own
        assert len(kept(server)) == 2
    with serve(desk, server, "--upload-quota", "2") as url:
        assert put(url, one, b"second", 1000) == (200, None)
    repo = ("--repo", str(server.repository.folder))
    refused = desk.json("skillrepo", *repo, "serve", "--desk", "--upload-quota", "0", status=2)
    assert refused["error"]["code"] == "usage"


def kept(server: World) -> list[str]:
    return sorted(path.name for path in (server.repository.folder / FOLDER).glob("*/*"))


def put(url: str, token: str, name: bytes, size: int) -> tuple[int, str | None]:
    """Begin to send a file of ``size`` bytes; returns the status, and the code of a refusal."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    path = f"/api/v1/desk/pkg/{REPO}/uploads/{sha256_of(name)}?size={size}&offset=0"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    try:
        connection.request("PUT", path, body=name[:1], headers=headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        return answer.status, document.get("error", {}).get("code")
    finally:
        connection.close()
