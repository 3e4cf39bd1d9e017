"""`skillrepo root next` to `root publish`, as holders and the publisher type it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk, skill_folder
from tests.cli.warm import WarmDesk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[WarmDesk]:
    with WarmDesk(Desk(tmp_path)) as warm:
        warm.run("skillrepo", "init", "repo", "--dev")
        yield warm


HOLDER = ("skillrepo", "--keys", "repo/keys", "--passphrase-file", "repo/keys/passphrase")
REPO = ("skillrepo", "--repo", "repo")


def test_another_year(desk: WarmDesk) -> None:
    drafted = desk.json(*REPO, "root", "next", "next")
    assert (drafted["complete"], drafted["missing"], drafted["version"]) == (False, ["root-1"], 2)
    early = desk.json(*REPO, "root", "publish", "next", status=11)
    assert early["error"]["code"] == "threshold-not-met"
    signed = desk.run(*HOLDER, "root", "sign", "next", "--as", "root-1")
    assert "nobody comes and nobody leaves" in signed.stderr
    assert desk.json("skillrepo", "root", "status", "next")["complete"]
    published = desk.json(*REPO, "root", "publish", "next")
    assert (published["root_version"], published["already"]) == (2, False)
    assert desk.json(*REPO, "root", "publish", "next")["already"]
    metadata = desk.folder / "repo/public/skills/metadata"
    assert (metadata / "1.root.json").is_file()
    assert (metadata / "2.root.json").read_bytes() == (desk.folder / "next/root.json").read_bytes()
    assert [item["event"] for item in desk.json(*REPO, "log")["records"]][-1] == "root.published"


def test_another_online_key_takes_the_old_ones_place(desk: WarmDesk) -> None:
    desk.run(
        "skillrepo",
        "--keys",
        "new",
        "--passphrase-file",
        "repo/keys/passphrase",
        "key",
        "new",
        "online",
        "--quick",
    )
    old = (desk.folder / "repo/keys/online.key.json").read_bytes()
    desk.run(*REPO, "root", "next", "next", "--online-key", "new/online.pub.json")
    shown = desk.run(*HOLDER, "root", "sign", "next", "--as", "root-1", "--yes")
    assert "timestamp: online LEAVES" in shown.stderr
    assert "timestamp: online COMES" in shown.stderr
    refused = desk.json(*REPO, "root", "publish", "next", status=7)
    assert "--online" in refused["error"]["hint"]
    assert (desk.folder / "repo/keys/online.key.json").read_bytes() == old
    by_file = ("--passphrase-file", "repo/keys/passphrase")
    desk.run(*REPO, *by_file, "root", "publish", "next", "--online", "new/online.key.json")
    kept = desk.folder / "repo/keys/online.key.json"
    assert kept.read_bytes() == (desk.folder / "new/online.key.json").read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    public = desk.folder / "repo/keys/online.pub.json"
    assert public.read_bytes() == (desk.folder / "new/online.pub.json").read_bytes()
    # Killed before the key file was written: nothing is signed by the old key, and the same command ends it.
    kept.write_bytes(old)
    (desk.folder / "repo/public/skills/metadata/2.root.json").unlink()
    before = (desk.folder / "repo/public/skills/metadata/timestamp.json").read_bytes()
    assert desk.json(*REPO, "refresh", status=7)["error"]["code"] == "key-not-available"
    assert (desk.folder / "repo/public/skills/metadata/timestamp.json").read_bytes() == before
    again = desk.json(*REPO, *by_file, "root", "publish", "next", "--online", "new/online.key.json")
    assert again["already"]
    assert kept.read_bytes() == (desk.folder / "new/online.key.json").read_bytes()
    assert (desk.folder / "repo/public/skills/metadata/2.root.json").is_file()
    # And everything goes on with it.
    skill = skill_folder(desk.folder / "web-search", "web-search")
    number = desk.json(*REPO, "import", str(skill), "--version", "1.0.0")["candidate"]
    desk.run(*REPO, "review", number, "--approve", "--reason", "fine", "--as", "curator-1")
    for curator in ("curator-1", "curator-2"):
        desk.run(*REPO, "sign", number, "--as", curator)
    desk.run(*REPO, "publish")
    with desk.serving("skillrepo", "--repo", "repo", "serve", "--port", "0") as url:
        client = ("skillrepo-client", "--metadata-dir", "client", "--server", url)
        desk.run("skillrepo-client", "--metadata-dir", "client", "init", "repo/trust-anchor.json")
        desk.run(*client, "get", "web-search==1.0.0", "--dest", "skills")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("root", "next", "taken"), 4),
        (("root", "next", "next", "--root-threshold", "1"), 2),
        (("root", "next", "next", "--root-key", "repo/keys/online.pub.json"), 10),
        (("root", "next", "next", "--root-key", "missing.pub.json"), 3),
        (("root", "next", "next", "--online-key", "repo/keys/curator-1.pub.json"), 10),
        (("root", "publish", "empty"), 3),
    ],
    ids=[
        "folder-is-taken",
        "threshold-alone",
        "online-is-root",
        "no-such-key",
        "curator-is-online",
        "no-folder",
    ],
)
def test_what_is_not_drafted(desk: WarmDesk, words: tuple[str, ...], status: int) -> None:
    (desk.folder / "taken").mkdir()
    (desk.folder / "taken/file").write_text("x")
    before = sorted(path.name for path in (desk.folder / "repo/public/skills/metadata").iterdir())
    desk.run(*REPO, *words, status=status)
    assert not (desk.folder / "next/root.json").exists()
    assert sorted(path.name for path in (desk.folder / "repo/public/skills/metadata").iterdir()) == before


def test_a_holder_signs_what_follows_the_root_that_they_know(desk: WarmDesk) -> None:
    """Somebody else brings the folder; the key, the anchor and what was signed last are the holder's."""
    desk.run(*REPO, "root", "next", "next")
    new = ("--keys", "new", "--passphrase-file", "repo/keys/passphrase", "key", "new", "rita", "--quick")
    desk.run("skillrepo", *new)
    holders = ("--root-key", "repo/keys/root-1.pub.json", "--root-key", "new/rita.pub.json")
    desk.run(*REPO, "root", "next", "other", *holders)
    # Another repository's anchor: this folder is not about what the holder knows.
    desk.run("skillrepo", "init", "elsewhere", "--dev")
    before = (desk.folder / "next/root.json").read_bytes()
    foreign = (*HOLDER, "--trust-anchor", "elsewhere/trust-anchor.json")
    refused = desk.json(*foreign, "root", "sign", "next", "--as", "root-1", "--yes", status=11)
    assert "do not sign" in refused["error"]["hint"]
    assert (desk.folder / "next/root.json").read_bytes() == before
    assert not (desk.folder / "repo/keys/root-1.root.json").exists()
    desk.run(*HOLDER, "root", "sign", "next", "--as", "root-1", "--yes")
    kept = desk.folder / "repo/keys/root-1.root.json"
    assert kept.read_bytes() == (desk.folder / "next/root.json").read_bytes()
    desk.run(*HOLDER, "root", "sign", "next", "--as", "root-1", "--yes")  # the same once more
    # A second root 2 is another chain for every client that begins at the anchor.
    other = desk.json(*HOLDER, "root", "sign", "other", "--as", "root-1", "--yes", status=11)
    assert "knows root 2 already" in other["error"]["message"]
    assert kept.read_bytes() == (desk.folder / "next/root.json").read_bytes()


def test_a_curator_leaves_as_it_is_typed(desk: WarmDesk) -> None:
    """curator-3 takes the place of curator-2; what was published before is fetched, what follows is signed by three."""
    passphrase = ("--passphrase-file", "repo/keys/passphrase")
    skill = skill_folder(desk.folder / "web-search", "web-search")
    number = desk.json(*REPO, "import", str(skill), "--version", "1.0.0")["candidate"]
    desk.run(*REPO, "review", number, "--approve", "--reason", "fine", "--as", "curator-2")
    for curator in ("curator-1", "curator-2"):
        desk.run(*REPO, "sign", number, "--as", curator)
    desk.run(*REPO, "publish")
    desk.run("skillrepo", "--keys", "new", *passphrase, "key", "new", "curator-3", "--quick")
    people = ("--curator-key", "repo/keys/curator-1.pub.json", "--curator-key", "new/curator-3.pub.json")
    drafted = desk.json(*REPO, "root", "next", "next", *people)
    assert drafted["missing"] == ["curator-1", "curator-3", "root-1"]
    new = ("skillrepo", "--keys", "new", *passphrase)
    # Who joins brings the anchor: a folder that somebody handed over proves nothing.
    refused = desk.json(*new, "root", "sign", "next", "--as", "curator-3", "--yes", status=11)
    assert refused["error"]["code"] == "could-not-verify"
    anchored = (*new, "--trust-anchor", "repo/trust-anchor.json")
    shown = desk.run(*anchored, "root", "sign", "next", "--as", "curator-3", "--yes").stderr
    assert "curators: curator-2 LEAVES (their reviews go on to count)" in shown
    assert "curators: curator-3 COMES" in shown
    assert "1 releases" not in shown
    assert "with 1 release" in shown
    desk.run(*HOLDER, "root", "sign", "next", "--as", "root-1", "--yes")
    early = desk.json(*REPO, "root", "publish", "next", status=11)
    assert "curator-1" in early["error"]["hint"]
    first = (*HOLDER, "--trust-anchor", "repo/trust-anchor.json")
    assert desk.json(*first, "root", "sign", "next", "--as", "curator-1", "--yes")["complete"]
    assert desk.json(*REPO, "root", "publish", "next")["root_version"] == 2
    with desk.serving("skillrepo", "--repo", "repo", "serve", "--port", "0") as url:
        client = ("skillrepo-client", "--metadata-dir", "client", "--server", url)
        desk.run("skillrepo-client", "--metadata-dir", "client", "init", "repo/trust-anchor.json")
        desk.run(*client, "get", "web-search==1.0.0", "--dest", "skills")
    second = skill_folder(desk.folder / "second", "second")
    number = desk.json(*REPO, "import", str(second), "--version", "1.0.0")["candidate"]
    late = ("review", number, "--approve", "--reason", "fine", "--as", "curator-2")
    assert desk.json(*REPO, *late, status=12)["error"]["code"] == "not-entitled"
