"""A browse.sh of one's own: the recorded catalogue and its blobs, on one `LoopbackSite`."""

from tests.support.loopback_github import MARKETPLACES
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene

DATA = MARKETPLACES / "browse-sh"
RAIL = "rail.example/find-timetable-d4e5f6"
EVIL = "evil.example/path-escape-x1x1x1"


def recorded_browse_sh() -> dict[str, Page]:
    """Return catalogue, details, lists of files and blobs."""
    table = {"/api/skills": Page((DATA / "GET_api_skills.json").read_bytes(), "application/json")}
    for file in DATA.glob("GET_api_skills_*.json"):
        host, _, task = file.stem.removeprefix("GET_api_skills_").partition("_")
        files = "/files" if task.endswith("_files") else ""
        path = f"/api/skills/{host}/{task.removesuffix('_files')}{files}"
        table[path] = Page(file.read_bytes(), "application/json")
    for file in (DATA / "blob").rglob("*.md"):
        table[f"/{file.relative_to(DATA).as_posix()}"] = Page(file.read_bytes(), "text/markdown")
    # Of this one only the list of files was recorded.
    return table | {f"/api/skills/{EVIL}": Page.json({"slug": EVIL})}


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_browse_sh()), address=f"browse-sh:{RAIL}", unpinned=("/blob/",)
)
