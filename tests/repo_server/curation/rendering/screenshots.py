"""Draws the pictures of docs/curator.md again: ``python -m tests.repo_server.curation.rendering.screenshots``.

Needs Chromium, and pngquant to make them small (apt-get install chromium pngquant). What is on them is what the
checks find today in the recorded meeting-notes-polisher 1.1.0.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from repo_server.curation.checks import run_checks, surface_of
from repo_server.curation.history import tree_findings
from repo_server.curation.rendering import ReviewPage, render_html
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport
from signing.format.names import ReleaseVersion, SkillName
from signing.format.surface import compare_surfaces
from tests.repo_server.curation.material import recorded
from tests.repo_server.curation.rendering.browser import browse
from tests.repo_server.curation.rendering.material import page, provenance

IMAGES = Path(__file__).parents[4] / "docs" / "images"
NAME = "meeting-notes-polisher"


def sample() -> ReviewPage:
    """The review of the update that slips an instruction in."""
    old, new = recorded(f"{NAME}.1.0.0"), recorded(f"{NAME}.1.1.0")
    changes = compare_surfaces(surface_of(old), surface_of(new))
    history = EngineReport(
        name="skillrepo-history",
        version="2",
        policy_sha256=sha256_of(b""),
        findings=tree_findings(new=new, old=old, growing=any(change.added for change in changes)),
    )
    return page(
        name=NAME,
        version="1.1.0",
        previous=ReleaseVersion("1.0.0"),
        old=old,
        new=new,
        surface=surface_of(new),
        changes=changes,
        engines=(run_checks(new, name=SkillName(NAME), strict=True), history),
        provenance=provenance(new, address=f"clawhub:@quiet-desk/{NAME}@1.1.0", licence="MIT-0"),
    )


def main(images: Path) -> None:
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browse(Path(folder) / "profile") as browser:
        path = Path(folder) / "review.html"
        path.write_text(render_html(sample()))
        browser.open(path.as_uri())
        for name, anchor, height, dark in (
            ("review-top", "", 860, False),
            ("review-diff", "#file-1", 620, False),
            ("review-findings", "#findings", 760, True),
        ):
            browser.evaluate(f"location.hash = '{anchor}'; scrollTo(0, {0 if not anchor else 'scrollY'})")
            picture = browser.screenshot(width=1200, height=height, dark=dark)
            small = subprocess.run(
                ["pngquant", "--quality=70-95", "--strip", "-"],
                input=picture,
                capture_output=True,
                check=True,
            ).stdout
            (images / f"{name}.png").write_bytes(small)
            sys.stdout.write(f"{name}.png {len(picture)} -> {len(small)} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
