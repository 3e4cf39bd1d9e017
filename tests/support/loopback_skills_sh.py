"""A skills.sh of one's own, and the GitHub that it points at, on one `LoopbackSite`."""

from tests.support.loopback_github import MARKETPLACES, recorded_github
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene

DATA = MARKETPLACES / "skills-sh"


def recorded_skills_sh() -> dict[str, Page]:
    """Return search, snapshots and audits as they were recorded."""
    routes = {"/api/search": _page("GET_api_search.q-notes.json")}
    for start, name in (
        ("/api/download/", "GET_api_download_"),
        ("/api/v1/skills/audit/", "GET_api_v1_skills_audit_"),
    ):
        for file in DATA.glob(f"{name}*.json"):
            owner, repository, skill = file.stem.removeprefix(name).split("_")
            routes[f"{start}{owner}/{repository}/{skill}"] = _page(file.name)
    return routes


def _page(name: str) -> Page:
    return Page((DATA / name).read_bytes(), "application/json")


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_github() | recorded_skills_sh()),
    address="skills-sh:northwind-tools/skills/csv-summarizer",
)
