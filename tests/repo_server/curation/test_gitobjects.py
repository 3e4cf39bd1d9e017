"""Ids as git computes them: from the recorded repositories, and from git itself."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from repo_server.curation.sources.gitobjects import TREE, TreeEntry, blob_id, commit_is, subtree_ids, tree_id
from tests.support.loopback_github import MARKETPLACES

LISTINGS = sorted(MARKETPLACES.rglob("*git_trees_main.recursive-1.json"))
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n"


@pytest.mark.parametrize("file", LISTINGS, ids=lambda file: file.name.split("_git")[0])
def test_recorded_trees(file: Path) -> None:
    listing = json.loads(file.read_text("utf-8"))
    ids = subtree_ids({i["path"]: (i["mode"], i["sha"]) for i in listing["tree"] if i["type"] != "tree"})
    assert ids[""] == listing["sha"]
    assert {i["path"]: i["sha"] for i in listing["tree"] if i["type"] == "tree"}.items() <= ids.items()


def test_all_three_recorded_repositories_are_there() -> None:
    assert len(LISTINGS) == 3


def git(folder: Path, *words: str, given: bytes | None = None, **more: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "A \u00e9 B" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "a@example.invalid" for who in ("AUTHOR", "COMMITTER")},
        **more,
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, check=True, capture_output=True, input=given
    )
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    for name in ("a", "a.b", "a0", "sub/x", "sub/y/z", "sub.d/x", "z"):
        path = tmp_path / name if name != "a" else tmp_path / "a-" / "b"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "z").chmod(0o755)
    (tmp_path / "link").symlink_to("z")
    git(tmp_path, "add", "--all")
    return tmp_path


def test_blobs_and_trees_as_git_names_them(repository: Path) -> None:
    root = git(repository, "write-tree")
    listed = git(repository, "ls-tree", "-r", "-t", root).splitlines()
    entries = [(*line.split("\t")[0].split(), line.split("\t")[1]) for line in listed]
    ids = subtree_ids({path: (mode, sha) for mode, kind, sha, path in entries if kind == "blob"})
    assert ids[""] == root
    assert {path: sha for _, kind, sha, path in entries if kind == "tree"}.items() <= ids.items()
    z = next(sha for _, _, sha, path in entries if path == "z")
    assert blob_id(b"z") == z


def test_folders_are_sorted_as_if_they_ended_in_a_slash() -> None:
    one = TreeEntry("a", TREE, "1" * 40)
    other = TreeEntry("a.b", "100644", "2" * 40)
    assert (
        tree_id([one, other]) == tree_id([other, one]) != tree_id([TreeEntry("a", "100644", "1" * 40), other])
    )


@pytest.mark.parametrize(
    "paths",
    [("a", "a/b"), ("a/b", "a"), ("x/a/b", "x/a"), ("x/a", "x/a/b/c")],
    ids="+".join,
)
def test_a_path_is_a_file_or_a_folder(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="one path"):
        subtree_ids(dict.fromkeys(paths, ("100644", "1" * 40)))


def described(repository: Path, commit: str, **verification: Any) -> dict[str, Any]:
    """The commit as GitHub's API describes it: times without their zone, the message without its last line end."""
    people = git(repository, "log", "-1", "--format=%an%n%ae%n%aI%n%cn%n%ce%n%cI", commit).split("\n")
    parents = git(repository, "log", "-1", "--format=%P", commit)
    keys = ("name", "email", "date")
    author, committer = (dict(zip(keys, people[at : at + 3], strict=True)) for at in (0, 3))
    message = git(repository, "log", "-1", "--format=%B", commit)
    return {
        "commit": {
            "author": author,
            "committer": committer,
            "message": message,
            "verification": verification,
        },
        "parents": [{"sha": parent} for parent in parents.split()],
    }


@pytest.mark.parametrize("zones", ["+0000 +0000", "+0530 -0800", "-0330 +1345"])
def test_a_commit_is_computed_although_its_time_zones_are_not_told(repository: Path, zones: str) -> None:
    from datetime import datetime

    author, committer = zones.split()
    dates = {"GIT_AUTHOR_DATE": f"1790000000 {author}", "GIT_COMMITTER_DATE": f"1790000001 {committer}"}
    git(repository, "commit", "--quiet", "--message=first\n\nbody", **dates)
    git(repository, "commit", "--quiet", "--allow-empty", "--message=second", **dates)
    commit, tree = git(repository, "rev-parse", "HEAD"), git(repository, "rev-parse", "HEAD^{tree}")
    document = described(repository, commit)
    for who in ("author", "committer"):
        moment = datetime.fromisoformat(document["commit"][who]["date"])
        document["commit"][who]["date"] = datetime.fromtimestamp(moment.timestamp()).astimezone().isoformat()
    assert commit_is(commit, document, tree)
    assert not commit_is(commit, document, "0" * 40)
    document["commit"]["message"] += "!"
    assert not commit_is(commit, document, tree)


@pytest.mark.parametrize("ending", ["", "\n "], ids=["plain", "with an empty line"])
def test_a_signed_commit_is_computed(repository: Path, ending: str) -> None:
    tree = git(repository, "write-tree")
    head = f"tree {tree}\nauthor A <a@x.invalid> 1790000000 +0230\ncommitter A <a@x.invalid> 1790000000 +0230"
    payload = f"{head}\n\nmessage\n"
    header = SIGNATURE.rstrip("\n").replace("\n", "\n ") + ending
    raw = f"{head}\ngpgsig {header}\n\nmessage\n".encode()
    commit = git(repository, "hash-object", "-t", "commit", "--stdin", given=raw)
    document = {"commit": {"verification": {"payload": payload, "signature": SIGNATURE}}, "parents": []}
    assert commit_is(commit, document, tree)
    assert not commit_is(commit, document, "0" * 40)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"commit": None},
        {"commit": {"author": {}, "committer": {}, "message": ""}, "parents": []},
        {"commit": {"verification": {"payload": "x", "signature": "y"}}, "parents": []},
        {
            "commit": {
                "author": {"name": "a", "email": "b", "date": "9999-99-99"},
                "committer": {"name": "a\n", "email": "b", "date": "2026-01-01T00:00:00Z"},
                "message": "m",
            },
            "parents": [],
        },
    ],
    ids=range(5),
)
def test_what_cannot_be_told_is_not_claimed(document: dict[str, Any]) -> None:
    assert not commit_is("0" * 40, document, "1" * 40)
