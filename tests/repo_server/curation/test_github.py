"""GitHub taps: what is taken is what the commit holds, whatever the servers send."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, source_of
from repo_server.curation.sources.gitobjects import blob_id, subtree_ids
from signing.errors import (
    DigestMismatchError,
    FormatError,
    NotFoundError,
    RejectedError,
    TransportError,
    UsageError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.manifest import Mode
from signing.format.review import Severity
from tests.repo_server.curation.material import SKILL_MD, fetched
from tests.support.loopback_clawhub import EXPECTED
from tests.support.loopback_github import COMMITS, SKILLS, TOOLBOX, recorded_github
from tests.support.loopback_site import LoopbackSite, Page

COMMIT = COMMITS[SKILLS]
RENAMER = f"github:{SKILLS}/skills/image-renamer"
RAW = f"/{SKILLS}/{COMMIT}/skills/image-renamer"


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_github()) as site:
        yield site


def settings(site: LoopbackSite) -> SourceSettings:
    return SourceSettings(bases={"github-api": site.url, "github-raw": site.url})


def take(site: LoopbackSite, address: str = RENAMER, **limits: Any) -> Fetched:
    return fetched(address, limits=Limits(**limits), settings=settings(site))


def change(site: LoopbackSite, path: str, alter: Callable[[Any], Any]) -> None:
    site.routes[path] = Page.json(alter(json.loads(site.routes[path].body)))


def serve(site: LoopbackSite, files: dict[str, bytes], **more: Any) -> str:
    """Put a repository o/r with ``files`` on the site and return its commit."""
    leaves = {path: ("100644", blob_id(content)) for path, content in files.items()}
    root = subtree_ids(leaves)[""]
    commit = "c" * 40
    tree = [
        {"path": path, "mode": mode, "type": "blob", "sha": sha, "size": len(files[path])}
        for path, (mode, sha) in leaves.items()
    ]
    answer = {"sha": commit, "commit": {"tree": {"sha": root}}, "parents": []}
    site.routes |= {
        "/repos/o/r": Page.json({"full_name": "o/r", "default_branch": "main"} | more),
        "/repos/o/r/commits/main": Page.json(answer),
        f"/repos/o/r/commits/{commit}": Page.json(answer),
        f"/repos/o/r/git/trees/{root}": Page.json({"sha": root, "tree": tree}),
        **{f"/o/r/{commit}/{quote(path)}": Page(content) for path, content in files.items()},
    }
    return commit


@pytest.mark.parametrize("ref", ["", "@main", f"@{COMMIT}"], ids=["default", "branch", "commit"])
def test_a_folder_at_a_commit(site: LoopbackSite, ref: str) -> None:
    result = take(site, RENAMER + ref)
    files = {path: sha256_of(file.content) for path, file in result.tree.files.items()}
    assert files == EXPECTED["image-renamer@0.3.2"]["files"]
    assert result.tree.files["scripts/preview.sh"].mode is Mode.EXECUTABLE  # type: ignore[index]
    assert result.address == f"{RENAMER}@{COMMIT}"
    assert result.resolved["commit"] == COMMIT
    assert result.resolved["tree"] == "47146f00d013e46273b2b6691feb9b00a40c9c7f"
    assert result.resolved["ref"] == (ref[1:] or "main")
    assert result.resolved["commit_id"] == "as GitHub says"
    assert (result.publisher, result.licence, result.suggested_version) == (
        "github.com/northwind-tools",
        "MIT",
        "0.3.2",
    )
    assert result.observations == ()


def test_the_same_through_another_name_of_the_commit_is_the_same(site: LoopbackSite) -> None:
    by_branch, by_commit = take(site, f"{RENAMER}@main"), take(site, f"{RENAMER}@{COMMIT}")
    assert by_branch.address == by_commit.address
    assert by_branch.tree.digest == by_commit.tree.digest


def test_a_link_in_the_folder_is_refused_before_anything_is_fetched(site: LoopbackSite) -> None:
    with pytest.raises(FormatError, match=r"references/shared\.md is a symbolic link"):
        take(site, f"github:{TOOLBOX}/.agents/skills/glossary-helper")
    assert not [request for request in site.requests if request.startswith(f"/{TOOLBOX}/")]


def test_a_submodule_is_refused(site: LoopbackSite) -> None:
    tree = [
        {
            "path": "SKILL.md",
            "mode": "100644",
            "type": "blob",
            "sha": blob_id(SKILL_MD),
            "size": len(SKILL_MD),
        },
        {"path": "vendor", "mode": "160000", "type": "commit", "sha": "d" * 40},
    ]
    root = subtree_ids({item["path"]: (item["mode"], item["sha"]) for item in tree})[""]  # type: ignore[misc]
    serve(site, {"SKILL.md": SKILL_MD})
    site.routes["/repos/o/r/commits/main"] = Page.json({"sha": "c" * 40, "commit": {"tree": {"sha": root}}})
    site.routes[f"/repos/o/r/git/trees/{root}"] = Page.json({"sha": root, "tree": tree})
    with pytest.raises(FormatError, match="vendor is a submodule"):
        take(site, "github:o/r")


def test_other_bytes_than_committed_are_refused(site: LoopbackSite) -> None:
    site.routes[f"{RAW}/scripts/rename.py"] = Page(b"import os\n")
    with pytest.raises(DigestMismatchError, match="not the file that the commit holds"):
        take(site)


@pytest.mark.parametrize(
    "alter",
    [
        lambda item: item | {"mode": "100755"},
        lambda item: item | {"sha": blob_id(b"other")},
        lambda item: item | {"path": item["path"].replace("SKILL", "README")},
    ],
    ids=["mode", "content", "name"],
)
def test_a_listing_that_is_not_the_tree_is_refused(
    site: LoopbackSite, alter: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    listing = next(path for path in site.routes if path.endswith("?recursive=1") and SKILLS in path)

    def spoiled(document: dict[str, Any]) -> dict[str, Any]:
        tree = [alter(i) if i["path"].endswith("image-renamer/SKILL.md") else i for i in document["tree"]]
        return document | {"tree": tree}

    change(site, listing, spoiled)
    with pytest.raises(DigestMismatchError, match="not that of this tree"):
        take(site)
    assert not [request for request in site.requests if request.startswith(RAW)]


@pytest.mark.parametrize(
    "item",
    [
        {"path": "x", "mode": "100644", "sha": "zz"},
        {"path": "x", "mode": "777", "sha": "1" * 40},
        {"path": "", "mode": "100644", "sha": "1" * 40},
        {"path": "README.md", "mode": "100644", "sha": "1" * 40},
        {"path": "README.md/x", "mode": "100644", "sha": "1" * 40},
        {"path": 5},
        5,
    ],
    ids=range(7),
)
def test_a_listing_of_nonsense_is_refused(site: LoopbackSite, item: Any) -> None:
    listing = next(path for path in site.routes if path.endswith("?recursive=1") and SKILLS in path)
    change(site, listing, lambda document: document | {"tree": [*document["tree"], item]})
    with pytest.raises(RejectedError):
        take(site)


def test_a_renamed_repository_is_refused(site: LoopbackSite) -> None:
    change(site, f"/repos/{SKILLS}", lambda facts: facts | {"full_name": "somebody-else/skills"})
    with pytest.raises(WrongSubjectError, match="somebody-else/skills"):
        take(site)


def test_another_commit_than_asked_for_is_refused(site: LoopbackSite) -> None:
    site.routes[f"/repos/{SKILLS}/commits/{'b' * 40}"] = site.routes[f"/repos/{SKILLS}/commits/main"]
    with pytest.raises(WrongSubjectError, match="another commit"):
        take(site, f"{RENAMER}@{'b' * 40}")


@pytest.mark.parametrize("status", ["ahead", "diverged", None])
def test_a_commit_of_a_fork_is_looked_at(site: LoopbackSite, status: str | None) -> None:
    compare = f"/repos/{SKILLS}/compare/main...{COMMIT}"
    site.routes.pop(compare)
    if status:
        site.routes[compare] = Page.json({"status": status})
    result = take(site, f"{RENAMER}@{COMMIT}")
    (found,) = result.observations
    assert (found.check, found.severity) == ("source.foreign-commit", Severity.LOOK)
    assert "every fork" in found.message
    assert take(site, f"{RENAMER}@main").observations == ()


@pytest.mark.parametrize(
    "ref",
    [
        COMMIT.upper(),
        COMMIT[:7],
        COMMIT[:9].upper(),
        f"v1.0-3-g{COMMIT[:7]}",
        "pull/7/head",
        "refs/pull/7/merge",
    ],
    ids=["upper", "short", "short-upper", "describe", "pull", "refs-pull"],
)
def test_what_anybody_can_put_there_is_looked_at(site: LoopbackSite, ref: str) -> None:
    site.routes[f"/repos/{SKILLS}/commits/{quote(ref, safe='')}"] = site.routes[
        f"/repos/{SKILLS}/commits/main"
    ]
    site.routes.pop(f"/repos/{SKILLS}/compare/main...{COMMIT}")
    found = {o.check: o.severity for o in take(site, f"{RENAMER}@{ref}").observations}
    assert found == {"source.foreign-commit": Severity.LOOK}


def test_another_commit_than_asked_for_in_capitals_is_refused(site: LoopbackSite) -> None:
    site.routes[f"/repos/{SKILLS}/commits/{'B' * 40}"] = site.routes[f"/repos/{SKILLS}/commits/main"]
    with pytest.raises(WrongSubjectError, match="another commit"):
        take(site, f"{RENAMER}@{'B' * 40}")


def test_a_listing_of_endless_folders_is_refused_early(site: LoopbackSite) -> None:
    tree = [
        {"path": f"{n}/{'a/' * 800}f", "mode": "100644", "type": "blob", "sha": "0" * 40, "size": 1}
        for n in range(200)
    ]
    listing = next(path for path in site.routes if path.endswith("?recursive=1") and SKILLS in path)
    change(site, listing, lambda document: document | {"tree": tree})
    with pytest.raises(FormatError, match="unreadable"):
        take(site)


def test_what_is_not_there(site: LoopbackSite) -> None:
    for address in (
        "github:o/nothing",
        f"{RENAMER}@no-such-branch",
        f"github:{SKILLS}/skills/nothing",
        f"github:{SKILLS}/skills/image",
        f"github:{SKILLS}/skills/image-renamer/SKILL.md",
    ):
        with pytest.raises(NotFoundError):
            take(site, address)
    site.routes[f"/repos/{SKILLS}/commits/{'a' * 40}"] = Page.json({"message": "No commit found"}, status=422)
    with pytest.raises(NotFoundError, match="no such commit"):
        take(site, f"{RENAMER}@{'a' * 40}")
    with pytest.raises(FormatError, match=r"no SKILL\.md"):
        take(site, f"github:{SKILLS}/skills/image-renamer/scripts")


def test_our_allowance_is_used_up(site: LoopbackSite) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1790000000"}
    site.routes[f"/repos/{SKILLS}"] = Page(b"{}", "application/json", 403, headers)
    with pytest.raises(TransportError, match="slow down"):
        take(site)


def test_limits_hold_before_anything_is_fetched(site: LoopbackSite) -> None:
    for limits in ({"max_files": 2}, {"max_file_bytes": 1_000}, {"max_total_bytes": 1_500}):
        with pytest.raises(FormatError):
            take(site, **limits)
    assert not [request for request in site.requests if request.startswith(RAW)]


def test_a_listing_that_lies_about_sizes_meets_the_limits_too(site: LoopbackSite) -> None:
    listing = next(path for path in site.routes if path.endswith("?recursive=1") and SKILLS in path)
    change(site, listing, lambda document: document | {"tree": [i | {"size": 0} for i in document["tree"]]})
    with pytest.raises(FormatError, match="more than"):
        take(site, max_total_bytes=1_500)


def test_everything_in_the_folder_is_taken(site: LoopbackSite) -> None:
    files = {
        "SKILL.md": SKILL_MD,
        ".env": b"A=1\n",
        ".clawhubignore": b"*\n",
        "bin/\u00e9 #?%.dat": bytes(range(256)),
        "big.bin": b"x" * 3_000_000,
    }
    serve(site, files)
    result = take(site, "github:o/r")
    assert {path: file.content for path, file in result.tree.files.items()} == files


def test_a_licence_of_the_repository_and_pointers_are_told(site: LoopbackSite) -> None:
    bare = b"---\nname: x\ndescription: d\n---\n"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    serve(site, {"SKILL.md": bare, "model.bin": pointer}, license={"spdx_id": "MIT"}, archived=True)
    result = take(site, "github:o/r")
    assert result.licence == "MIT"
    assert {o.check: o.severity for o in result.observations} == {
        "source.lfs-pointer": Severity.LOOK,
        "source.archived": Severity.NOTE,
        "source.licence-of-repository": Severity.NOTE,
    }
    serve(site, {"SKILL.md": bare}, license={"spdx_id": "NOASSERTION"})
    assert [o.check for o in take(site, "github:o/r").observations] == ["source.no-licence"]


def test_a_repository_too_large_to_list_is_walked(site: LoopbackSite) -> None:
    root = json.loads(site.routes[f"/repos/{SKILLS}/commits/main"].body)["commit"]["tree"]["sha"]
    change(site, f"/repos/{SKILLS}/git/trees/{root}?recursive=1", lambda d: {"tree": [], "truncated": True})
    result = take(site)
    assert result.resolved["tree"] == "47146f00d013e46273b2b6691feb9b00a40c9c7f"
    with pytest.raises(NotFoundError):
        take(site, f"github:{SKILLS}/skills/nothing")
    change(site, f"/repos/{SKILLS}/git/trees/{root}", lambda d: {"tree": d["tree"][1:]})
    with pytest.raises(DigestMismatchError):
        take(site)


def test_search_lists_the_skills_of_a_repository(site: LoopbackSite) -> None:
    def search(query: str, **limits: Any) -> list[str]:
        hits = source_of("github").search(query, limits=Limits(**limits), settings=settings(site))
        return [hit.address for hit in hits]

    names = ["csv-summarizer", "image-renamer", "release-notes-writer"]
    assert search(SKILLS) == [f"github:{SKILLS}/skills/{name}@{COMMIT}" for name in names]
    assert search(f"{SKILLS} photos") == [f"github:{SKILLS}/skills/image-renamer@{COMMIT}"]
    assert search(f"{SKILLS} csv nothing") == []
    assert len(search(SKILLS, max_hits=2)) == 2
    for query in ("words", "", "@o/x"):
        with pytest.raises(UsageError):
            search(query)


def test_a_repository_that_is_a_skill_is_found(site: LoopbackSite) -> None:
    commit = serve(site, {"SKILL.md": SKILL_MD})
    (hit,) = source_of("github").search("o/r", limits=Limits(), settings=settings(site))
    assert hit.address == f"github:o/r@{commit}"
    assert hit.name == "x"
