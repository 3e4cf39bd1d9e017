"""`skillrepo diff`: what one version says, and may touch, that another did not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from repo_server.cli.context import open_desk
from signing.console import Console, console_option
from signing.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from repo_server.curation.tree import SourceTree
    from repo_server.repository import Repository


@click.command()
@click.argument("what", metavar="[OLD] NEW", nargs=-1, required=True)
@console_option
@click.pass_context
def diff(ctx: click.Context, what: Sequence[str], console: Console) -> None:
    """Compare what NEW may touch, and its files, with OLD; without OLD with what was published last.

    Each is a release, NAME==VERSION, or a candidate. Engines do not look, and no decision is asked for: that is review.
    """
    from repo_server.curation.checks import surface_of
    from repo_server.curation.diff import diff_trees, render_surface_changes
    from repo_server.db.session import snapshot
    from signing.format.surface import Surface, compare_surfaces

    if len(what) > 2:  # noqa: PLR2004 - old and new
        raise UsageError("compare two at a time", hint="skillrepo diff [OLD] NEW")
    repository = open_desk(ctx, console).repository
    with snapshot(repository.engine) as session:
        if len(what) == 1:
            (before, old), (after, new) = _with_predecessor(repository, session, what[0])
        else:
            (before, old), (after, new) = (_side(repository, session, text) for text in what)
    changes = compare_surfaces(surface_of(old) if old is not None else Surface(), surface_of(new))
    text = diff_trees(old, new)
    document = {
        "old": before or None,
        "new": after,
        "surface_changes": [change.to_json() for change in changes],
        "diff": text,
    }
    lines = [f"{before or 'nothing published'} -> {after}", *render_surface_changes(changes)]
    console.answer(document, "\n".join([*lines, "", text.rstrip("\n") or "the files are the same"]))


def _with_predecessor(
    repository: "Repository", session: "Session", text: str
) -> "tuple[tuple[str, SourceTree | None], tuple[str, SourceTree]]":
    """Return the last published version, and the candidate that ``text`` means, as a review compares them.

    Raises:
        UsageError: it is published itself.
    """
    from repo_server.curation.candidates import find, pin_of
    from repo_server.curation.examination import examine
    from repo_server.db.models import CandidateState

    row = find(session, text)
    if row.state == CandidateState.PUBLISHED:
        raise UsageError(
            f"{pin_of(row)} is published; with which one is it to be compared?",
            hint=f"skillrepo diff {row.name}==OLD {pin_of(row)}",
        )
    seen = examine(repository, session, row)
    before = f"{row.name}=={seen.previous}" if seen.previous is not None else ""
    return (before, seen.old_tree), (f"{pin_of(row)}", seen.tree)


def _side(repository: "Repository", session: "Session", text: str) -> "tuple[str, SourceTree]":
    """Return a release, by the signed metadata, or else a candidate; and what it is called."""
    from repo_server.curation.candidates import find, load_tree, pin_of
    from repo_server.curation.examination import published_tree
    from repo_server.publishing.origins import published_releases

    for item in published_releases(repository, session):
        if str(item.release.pin) == text:
            return text, published_tree(repository, item)
    row = find(session, text)
    return f"{pin_of(row)} ({row.state})", load_tree(repository, row)
