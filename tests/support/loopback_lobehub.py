"""A LobeHub of one's own: the recorded market and chat-agents index, on one `LoopbackSite`."""

import json

from tests.support.loopback_github import MARKETPLACES
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene

API = "/api/v1/skills"
DATA = MARKETPLACES / "lobehub"


def recorded_lobehub() -> dict[str, Page]:
    """Return list, versions, details and archives of the market, and every agent template."""
    market = DATA / "market"
    table = {API: Page((market / "GET_api_v1_skills.page-1.json").read_bytes(), "application/json")}
    for versions in market.glob("GET_api_v1_skills_*_versions.json"):
        stem = versions.name.removesuffix("_versions.json")
        name = stem.removeprefix("GET_api_v1_skills_")
        document = (market / f"{stem}.json").read_bytes()
        asked = f"?version={json.loads(document)['version']}"
        table[f"{API}/{name}/versions"] = Page(versions.read_bytes(), "application/json")
        table[f"{API}/{name}{asked}"] = Page(document, "application/json")
        archive = (market / f"{stem}_download.zip").read_bytes()
        table[f"{API}/{name}/download{asked}"] = Page(archive, "application/zip")
    for file in DATA.glob("*.json"):
        name = "bad-frontmatter" if file.stem == "bad-frontmatter-agent" else file.stem
        table[f"/{name}.json"] = Page(file.read_bytes(), "application/json")
    return table


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_lobehub()),
    address="lobehub:github.northwind-tools.skills.release-notes-writer",
)
