"""From an examination, or from a folder, to what is shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from repo_server.curation.rendering.page import ReviewPage
from repo_server.curation.sources import Fetched
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport, Finding
from signing.format.review import Candidate, Review
from signing.format.surface import Surface, compare_surfaces

if TYPE_CHECKING:
    from repo_server.curation.examination import Examination


def page_of(
    examination: "Examination", *, reviews: Sequence[Review] = (), now: datetime | None = None
) -> ReviewPage:
    """Return what is shown about an examined candidate.

    Args:
        examination: what was found.
        reviews: the decisions so far; their waivers count at ``now`` only.
        now: the time.
    """
    from repo_server.curation.candidates import provenance_of  # noqa: PLC0415 - a bare folder needs no database

    row = examination.row
    return ReviewPage(
        name=row.name,
        version=row.version,
        candidate=row.id,
        state=row.state,
        kind=row.kind,
        provenance=provenance_of(row),
        engines=examination.engines,
        surface=examination.surface,
        changes=examination.surface_changes,
        previous=examination.previous,
        old=examination.old_tree,
        new=examination.tree,
        reviews=tuple(reviews),
        earlier_waivers=examination.earlier_waivers,
        now=now,
    )


def bare_page(fetched: Fetched, findings: Sequence[Finding], surface: Surface) -> ReviewPage:
    """Return what is shown about a folder or archive that is no candidate of any repository."""
    name = fetched.address.rstrip("/").rpartition("/")[2] or fetched.address
    report = EngineReport(
        name="skillrepo-checks", version="", policy_sha256=sha256_of(b""), findings=tuple(findings)
    )
    return ReviewPage(
        name=name,
        version=fetched.suggested_version or "",
        provenance=Candidate(
            source=fetched.source,
            address=fetched.address,
            resolved=fetched.resolved,
            publisher=fetched.publisher,
            licence=fetched.licence,
            imported_at=fetched.fetched_at,
            tree_sha256=fetched.tree.digest,
        ),
        engines=(report,),
        surface=surface,
        changes=compare_surfaces(Surface(), surface),
        previous=None,
        old=None,
        new=fetched.tree,
    )
