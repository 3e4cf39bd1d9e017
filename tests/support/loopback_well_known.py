"""A site that offers skills itself: the recorded discovery files of both forms, for a `LoopbackSite`."""

from repo_server.curation.limits import Limits
from repo_server.curation.unpack import unpack
from tests.support.loopback_github import MARKETPLACES
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene

NEW, OLD = "/.well-known/agent-skills/", "/.well-known/skills/"
DATA = MARKETPLACES / "well-known"
_SKILL = DATA / "v0.2" / "csv-summarizer" / "SKILL.md"
_ARCHIVE = DATA / "v0.2" / "release-notes-writer.tar.gz"


def recorded_v0_2() -> dict[str, Page]:
    """Return index, skill and archive of the form with digests."""
    return {
        f"{NEW}index.json": Page((DATA / "v0.2" / "index.json").read_bytes(), "application/json"),
        f"{NEW}csv-summarizer/SKILL.md": Page(_SKILL.read_bytes()),
        f"{NEW}release-notes-writer.tar.gz": Page(_ARCHIVE.read_bytes()),
    }


def recorded_v0_1() -> dict[str, Page]:
    """Return the index of the form without digests, and the files that it lists."""
    table = {f"{OLD}index.json": Page((DATA / "v0.1" / "index.json").read_bytes(), "application/json")}
    table[f"{OLD}csv-summarizer/SKILL.md"] = Page(_SKILL.read_bytes())
    for path, content, _ in unpack(_ARCHIVE.read_bytes(), Limits()):
        table[f"{OLD}release-notes-writer/{path}"] = Page(content, "text/plain")
    return table


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_v0_2() | recorded_v0_1()),
    address="well-known:{url}#csv-summarizer",
)
