"""The recorded Claude marketplace and the other repository that it points at, on one `LoopbackSite`."""

from tests.support.loopback_github import MARKETPLACES, github_routes, recorded_github
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.scenes import Scene


def recorded_marketplace() -> dict[str, Page]:
    """Return GitHub's answers about all repositories concerned."""
    return recorded_github() | github_routes(MARKETPLACES / "claude-marketplace" / "github")


SCENE = Scene(
    server=lambda: LoopbackSite(recorded_marketplace()),
    address="claude-marketplace:northwind-tools/marketplace#table-skills/csv-summarizer",
)
