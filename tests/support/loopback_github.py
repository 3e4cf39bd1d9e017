"""GitHub's answers about the recorded repositories, for a `LoopbackSite`: the API and the raw files on one server.

What was recorded is the tree of each repository in one listing and its files; the listing of every single folder
follows from it.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene

MARKETPLACES = Path(__file__).parents[1] / "data" / "marketplaces"
SKILLS = "northwind-tools/skills"
TOOLBOX = "quiet-desk/toolbox"
COMMITS: dict[str, str] = {
    name.partition(" ")[2]: commit
    for name, commit in json.loads((MARKETPLACES / "expected.json").read_text("utf-8"))["commits"].items()
}


def github_routes(folder: Path) -> dict[str, Page]:
    """Return the answers about every repository that was recorded in ``folder``."""
    return dict(_routes(folder))


@cache
def _routes(folder: Path) -> dict[str, Page]:
    routes: dict[str, Page] = {}
    for owner in (folder / "contents").iterdir():
        for repository in owner.iterdir():
            routes |= _repository(folder, f"{owner.name}/{repository.name}")
    return routes


def _repository(folder: Path, name: str) -> dict[str, Page]:
    plain = name.replace("/", "_")
    commit = _recorded(folder / f"GET_repos_{plain}_commits_main.json")
    listing = _recorded(folder / f"GET_repos_{plain}_git_trees_main.recursive-1.json")
    routes = {
        f"/repos/{name}": Page.json(_recorded(folder / f"GET_repos_{plain}.json")),
        f"/repos/{name}/commits/main": Page.json(commit),
        f"/repos/{name}/commits/{commit['sha']}": Page.json(commit),
        f"/repos/{name}/compare/main...{commit['sha']}": Page.json({"status": "identical"}),
    }
    for tree_id, path in _trees(listing):
        below = [
            item | {"path": item["path"][len(path) :]}
            for item in listing["tree"]
            if item["path"].startswith(path)
        ]
        url = f"/repos/{name}/git/trees/{tree_id}"
        routes[f"{url}?recursive=1"] = Page.json({"sha": tree_id, "tree": below, "truncated": False})
        direct = [item for item in below if "/" not in item["path"]]
        routes[url] = Page.json({"sha": tree_id, "tree": direct, "truncated": False})
    contents = folder / "contents" / name
    for file in (path for path in contents.rglob("*") if path.is_file()):
        routes[f"/{name}/{commit['sha']}/{file.relative_to(contents)}"] = Page(file.read_bytes())
    return routes


def _trees(listing: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield listing["sha"], ""
    for item in listing["tree"]:
        if item["type"] == "tree":
            yield item["sha"], f"{item['path']}/"


def _recorded(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return document


def recorded_github() -> dict[str, Page]:
    """Return the answers about the two repositories that skills.sh lists."""
    return github_routes(MARKETPLACES / "skills-sh" / "github")


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_github()), address=f"github:{SKILLS}/skills/csv-summarizer@main"
)
