"""`skillrepo-client` as others call it: the contract of the TUF conformance suite, and ``get``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from repo_client.cli import cli
from signing.console import run
from signing.format.withdrawal import Withdrawn
from tests.attacks.forge import Forge
from tests.support.hurry import in_a_hurry
from tests.support.world import PlainServer, World

BUNDLE = "skills/web-search/1.0/web-search-1.0.tar.gz"
REVIEW = "skills/web-search/1.0/review.dsse.json"
PROGRAM = [sys.executable, "-c", "from repo_client.cli import main; main()"]


@dataclass
class Said:
    status: int
    out: str
    err: str


def in_its_own_process(words: Sequence[str], folder: Path) -> Said:
    done = subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass
class Caller:
    world: World
    server: PlainServer
    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata"

    def call(self, *words: str, status: int = 0, apart: bool = False) -> Said:
        """Run the command, in this process or ``apart`` in its own, and compare its exit status."""
        said = in_its_own_process(words, self.folder) if apart else self.in_this_process(words)
        assert said.status == status, said.err
        assert "Traceback" not in said.err
        return said

    def in_this_process(self, words: Sequence[str]) -> Said:
        with pytest.raises(SystemExit) as ended:
            run(cli, "skillrepo-client", words)
        out, err = self.capture.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        answer = json.loads(self.call("--json", *words, status=status).out)
        assert answer["ok"] is (status == 0)
        return answer

    @property
    def options(self) -> Sequence[str]:
        return ["--metadata-dir", str(self.metadata)]

    @property
    def server_options(self) -> Sequence[str]:
        return ["--server", self.server.url, *self.options]

    def init(self, *, apart: bool = False) -> None:
        self.call(*self.options, "init", str(self.world.folder / "repo/trust-anchor.json"), apart=apart)

    def download(self, *names: str, status: int = 0, apart: bool = False) -> Said:
        options = ["--metadata-url", f"{self.server.url}/metadata/"]
        for name in names:
            options += ["--target-name", name]
        options += [
            "--target-dir",
            str(self.folder / "out"),
            "--target-base-url",
            f"{self.server.url}/targets/",
        ]
        return self.call(*options, *self.options, "download", status=status, apart=apart)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def caller(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Caller]:
    for name in [name for name in os.environ if name.startswith("SKILLREPO_")]:
        monkeypatch.delenv(name)
    (tmp_path / "caller").mkdir()
    monkeypatch.chdir(tmp_path / "caller")
    with world.serve() as server:
        yield Caller(world, server, tmp_path / "caller", capsys)


def test_the_contract_of_the_conformance_suite(caller: Caller) -> None:
    """Each command in a process of its own; what one learned, the next one knows."""
    caller.init(apart=True)
    assert caller.server.requests == []
    metadata_url = f"{caller.server.url}/metadata/"
    caller.call("--metadata-url", metadata_url, *caller.options, "refresh", apart=True)
    names = {path.name for path in caller.metadata.glob("*.json")}
    assert {"root.json", "timestamp.json", "snapshot.json", "targets.json"} <= names
    caller.download(BUNDLE, REVIEW, apart=True)
    assert len(list((caller.folder / "out").iterdir())) == 2
    old = caller.world.metadata()["timestamp.json"]
    caller.world.refresh()
    caller.call("--metadata-url", metadata_url, *caller.options, "refresh", apart=True)
    caller.server.lies["/metadata/timestamp.json"] = old
    caller.call("--metadata-url", metadata_url, *caller.options, "refresh", status=11, apart=True)


def test_init_makes_no_request_and_keeps_the_anchor(caller: Caller) -> None:
    caller.init()
    assert caller.server.requests == []
    assert (caller.metadata / "root.json").read_bytes() == caller.world.anchor
    caller.init()  # the same again is fine


def test_init_with_another_anchor_is_a_conflict(caller: Caller, tmp_path: Path) -> None:
    caller.init()
    other = World.build(tmp_path / "other", bins=2)
    other.close()
    anchor = str(tmp_path / "other/repo/trust-anchor.json")
    assert caller.json(*caller.options, "init", anchor, status=4)["error"]["code"] == "conflict"
    assert (caller.metadata / "root.json").read_bytes() == caller.world.anchor


def test_init_with_something_else(caller: Caller) -> None:
    (caller.folder / "page.html").write_text("<html></html>")
    answer = caller.json(*caller.options, "init", "page.html", status=10)
    assert answer["error"]["code"] == "malformed"
    assert caller.json(*caller.options, "init", "absent", status=3)["error"]["code"] == "not-found"


def test_refresh_writes_unversioned_files(caller: Caller) -> None:
    caller.init()
    caller.call("--metadata-url", f"{caller.server.url}/metadata/", *caller.options, "refresh")
    names = {path.name for path in caller.metadata.glob("*.json")}
    assert {"root.json", "timestamp.json", "snapshot.json", "targets.json"} <= names
    answer = caller.json("--server", caller.server.url, *caller.options, "refresh")
    assert answer["versions"]["root"] == 1


def test_refresh_of_an_old_state_fails_and_changes_nothing(caller: Caller) -> None:
    caller.init()
    old = caller.world.metadata()["timestamp.json"]
    caller.world.refresh()
    caller.call("--server", caller.server.url, *caller.options, "refresh")
    seen = (caller.metadata / "timestamp.json").read_bytes()
    caller.server.lies["/metadata/timestamp.json"] = old
    answer = caller.json("--server", caller.server.url, *caller.options, "refresh", status=11)
    assert answer["error"]["code"] == "rollback"
    assert (caller.metadata / "timestamp.json").read_bytes() == seen


@pytest.mark.parametrize("torn", [b"", b'{"signed"'], ids=["empty", "cut off"])
@pytest.mark.parametrize("verb", ["refresh", "download"])
def test_what_was_seen_outlives_a_torn_file(caller: Caller, verb: str, torn: bytes) -> None:
    """A power cut takes python-tuf's own memory; then a server of an older state comes."""

    def does(status: int) -> None:
        if verb == "download":
            caller.download(BUNDLE, status=status)
        else:
            caller.call("--server", caller.server.url, *caller.options, "refresh", status=status)

    caller.init()
    old = caller.world.metadata()["timestamp.json"]
    caller.world.refresh()
    does(0)
    newer = caller.world.metadata()["timestamp.json"]
    written = sorted(caller.folder.glob("out/*"))
    for path in written:
        path.unlink()
    (caller.metadata / "timestamp.json").write_bytes(torn)
    caller.server.lies["/metadata/timestamp.json"] = old
    does(11)
    assert list(caller.folder.glob("out/*")) == []
    caller.server.lies["/metadata/timestamp.json"] = newer
    does(0)
    assert sorted(caller.folder.glob("out/*")) == written


def test_without_init_there_is_no_trust(caller: Caller) -> None:
    answer = caller.json("--server", caller.server.url, *caller.options, "refresh", status=3)
    assert "init" in answer["error"]["hint"]
    assert caller.server.requests == []


def test_several_targets_use_one_updater(caller: Caller) -> None:
    caller.init()
    caller.download(BUNDLE, REVIEW)
    assert caller.server.asked_for("timestamp.json") == 1
    assert sorted(path.name for path in (caller.folder / "out").iterdir()) == sorted(
        quote(name, safe="") for name in (BUNDLE, REVIEW)
    )
    served = next((caller.world.public / "targets").rglob("*.web-search-1.0.tar.gz")).read_bytes()
    assert (caller.folder / "out" / quote(BUNDLE, safe="")).read_bytes() == served


@pytest.mark.parametrize(
    "name", ["skills/nothing/1.0/nothing-1.0.tar.gz", "../../etc/passwd", "/etc/passwd", "", "a b", "x\ny"]
)
def test_a_target_that_is_not_published(caller: Caller, name: str) -> None:
    caller.init()
    caller.download(name, status=3)
    assert caller.server.asked_for("/targets/") == 0
    assert list((caller.folder / "out").iterdir()) == []


def test_a_tampered_target_is_not_written(caller: Caller) -> None:
    caller.init()
    path = next((caller.world.public / "targets").rglob("*.web-search-1.0.tar.gz"))
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    caller.server.lies[f"/{path.relative_to(caller.world.public)}"] = bytes(data)
    caller.download(BUNDLE, status=11)
    assert list((caller.folder / "out").iterdir()) == []


def test_a_link_in_place_of_a_download_is_not_followed(caller: Caller) -> None:
    caller.init()
    (caller.folder / "out").mkdir()
    (caller.folder / "precious").write_text("precious")
    (caller.folder / "out" / quote(BUNDLE, safe="")).symlink_to(caller.folder / "precious")
    caller.download(BUNDLE)
    assert (caller.folder / "precious").read_text() == "precious"
    assert not (caller.folder / "out" / quote(BUNDLE, safe="")).is_symlink()


@pytest.mark.parametrize(
    "words",
    [
        ["refresh"],
        ["--metadata-dir", "metadata", "refresh"],
        ["--metadata-dir", "metadata", "download"],
        ["--metadata-dir", "metadata", "get", "web-search==1.0", "--dest", "out"],
        ["--metadata-dir", "metadata", "get", "web-search==1.0"],
        ["--metadata-dir", "metadata", "no-such-command"],
        ["--no-such-option"],
    ],
)
def test_usage(caller: Caller, words: list[str]) -> None:
    assert caller.json(*words, status=2)["error"]["code"] == "usage"
    assert caller.server.requests == []


# --- get -------------------------------------------------------------------------------------------


def get(caller: Caller, pin: str = "web-search==1.0", *, status: int = 0) -> dict[str, Any]:
    options = ["--server", caller.server.url, *caller.options]
    return caller.json(*options, "get", pin, "--dest", str(caller.folder / "skills"), status=status)


def test_get_unpacks_what_was_verified_and_says_by_whom(caller: Caller) -> None:
    caller.init()
    answer = get(caller)
    assert answer["signers"] == ["alice", "bob"]
    assert answer["reviewers"] == ["alice"]
    script = caller.folder / "skills/web-search/scripts/run.sh"
    assert script.read_bytes() == b"#!/bin/sh\nexit 0\n"
    assert script.stat().st_mode & 0o777 == 0o755
    assert answer["path"] == str(caller.folder / "skills/web-search")


def test_get_takes_its_settings_from_the_environment(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    caller.init()
    monkeypatch.setenv("SKILLREPO_SERVER", caller.server.url)
    monkeypatch.setenv("SKILLREPO_METADATA_DIR", str(caller.metadata))
    caller.call("get", "web-search==1.0", "--dest", "skills")
    assert (caller.folder / "skills/web-search/SKILL.md").is_file()


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_get_does_not_touch_what_is_there(caller: Caller, what: str) -> None:
    caller.init()
    place = caller.folder / "skills/web-search"
    place.parent.mkdir()
    if what == "folder":
        place.mkdir()
    elif what == "file":
        place.write_text("mine")
    else:
        place.symlink_to(caller.folder / "elsewhere")
    assert get(caller, status=4)["error"]["code"] == "conflict"
    assert [path.name for path in place.parent.iterdir()] == ["web-search"]
    assert not (caller.folder / "elsewhere").exists()


@pytest.mark.parametrize(("state", "status"), [(Withdrawn.REVOKED, 11), (Withdrawn.QUARANTINED, 12)], ids=str)
@pytest.mark.parametrize("what", [{"name": "web-search"}, {"name": "web-search", "version": "1.0"}])
def test_get_of_a_withdrawn_skill_is_refused(
    caller: Caller, what: dict[str, str], state: Withdrawn, status: int
) -> None:
    caller.init()
    forge = Forge(caller.world)
    entry = forge.revoke(state=state, **what)
    forge.state()
    forge.answer(caller.server)
    error = get(caller, status=status)["error"]
    assert error["code"] == state.value
    assert error["facts"]["withdrawal"] == entry.id
    assert "by bob since" in error["message"]
    assert not (caller.folder / "skills/web-search").exists()


def test_get_of_a_yanked_skill_warns(caller: Caller) -> None:
    """Who names exactly this version gets it, and is told."""
    caller.init()
    forge = Forge(caller.world)
    forge.revoke(state=Withdrawn.YANKED, name="web-search")
    forge.state()
    forge.answer(caller.server)
    said = caller.call("--json", *caller.server_options, "get", "web-search==1.0", "--dest", "skills")
    (warning,) = json.loads(said.out)["warnings"]
    assert "is yanked by bob" in warning
    assert f"WARNING: {warning}" in said.err
    assert (caller.folder / "skills/web-search/SKILL.md").is_file()


def test_download_of_a_withdrawn_bundle_is_refused(caller: Caller) -> None:
    caller.init()
    forge = Forge(caller.world)
    forge.revoke(name="web-search")
    forge.state()
    forge.answer(caller.server)
    download = (*caller.server_options, "--target-dir", str(caller.folder / "targets"))
    both = ("--target-name", "revocations.json", "--target-name", BUNDLE)
    assert caller.json(*download, *both, "download", status=11)["error"]["code"] == "revoked"
    assert not list((caller.folder / "targets").iterdir())
    assert not caller.server.asked_for(".tar.gz")
    assert caller.json(*download, "--target-name", REVIEW, "download")["files"]  # evidence stays readable


def test_a_list_that_lost_an_entry_is_refused_to_get_and_download(caller: Caller) -> None:
    caller.init()
    forge = Forge(caller.world)
    forge.revoke(name="calendar")
    forge.state()
    forge.answer(caller.server)
    get(caller)
    memory = (caller.metadata / "seen-withdrawals").read_bytes()
    forge.withdrawals(by=["bob"])
    forge.state()
    forge.answer(caller.server)
    assert get(caller, status=11)["error"]["code"] == "rollback"
    download = (
        *caller.server_options,
        "--target-dir",
        str(caller.folder / "targets"),
        "--target-name",
        BUNDLE,
    )
    assert caller.json(*download, "download", status=11)["error"]["code"] == "rollback"
    assert (caller.metadata / "seen-withdrawals").read_bytes() == memory


def test_get_after_a_later_publication(caller: Caller) -> None:
    caller.init()
    get(caller)
    caller.world.publish_skill("calendar==1.0")
    forge = Forge(caller.world)
    forge.revoke(name="something-else")
    forge.state()
    forge.answer(caller.server)
    assert get(caller, "calendar==1.0")["name"] == "calendar"


@pytest.mark.parametrize(
    ("pin", "status"), [("web-search==9", 3), ("web-search", 10), ("../x==1", 10), ("web-search==1.00", 10)]
)
def test_get_of_something_else(caller: Caller, pin: str, status: int) -> None:
    caller.init()
    get(caller, pin, status=status)
    assert not (caller.folder / "skills/web-search").exists()


@pytest.mark.parametrize("place", ["skills", "metadata"])
def test_a_file_where_a_folder_should_be(caller: Caller, place: str) -> None:
    """An error of the host with a code, not a traceback."""
    if place == "skills":
        caller.init()
        (caller.folder / place).write_text("a file")
        assert get(caller, status=6)["error"]["code"] == "host-failed"
    else:
        (caller.folder / place).write_text("a file")
        anchor = str(caller.world.folder / "repo/trust-anchor.json")
        assert caller.json(*caller.options, "init", anchor, status=6)["error"]["code"] == "host-failed"
    assert (caller.folder / place).read_text() == "a file"
