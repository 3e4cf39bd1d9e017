"""`skillrepo status`, `show` and `log`."""

from typing import Any

import click

from repo_server.cli.context import clock, open_repository
from signing.console import Console, console_option
from signing.errors import NotFoundError
from signing.format.moment import render_moment
from signing.format.names import Pin


@click.command()
@console_option
@click.pass_context
def status(ctx: click.Context, console: Console) -> None:
    """Show what waits for whom, what is published, and what is about to expire."""
    from repo_server.db.session import snapshot
    from repo_server.publishing.overview import overview

    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        document = overview(session, dev=repository.config.dev, now=clock())
    lines = []
    for item in document["candidates"]:
        waiting = f"  waits for {', '.join(item['missing'])}" if item["missing"] else ""
        lines.append(f"{item['candidate']}  {item['state']:9} {item['name']}=={item['version']}{waiting}")
    lines += [
        f"{'':12}  {item['state']:9} profile {item['name']}=={item['version']}"
        for item in document["profiles"]
    ]
    lines += [
        f"role {role:12} version {item['version']:4}  expires {item['expires']}"
        for role, item in document["roles"].items()
    ]
    lines += [f"PROBLEM: {problem}" for problem in document["problems"]]
    console.answer(document, "\n".join(lines))


@click.command()
@click.argument("what", metavar="NAME[==VERSION]|CANDIDATE")
@console_option
@click.pass_context
def show(ctx: click.Context, what: str, console: Console) -> None:
    """Show a release with its review, the releases of a name, or a candidate."""
    from repo_server.curation.candidates import find
    from repo_server.curation.examination import describe, load_review
    from repo_server.db.models import CandidateRow
    from repo_server.db.session import snapshot
    from repo_server.publishing.overview import releases_of

    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        name, separator, version = what.partition("==")
        found = releases_of(session, name)
        if separator:
            found = [row for row in found if row.version == version]
        if not found and separator:
            raise NotFoundError(f"{Pin.parse(what)} is not published", hint="skillrepo status lists what is")
        if not found:
            row = find(session, what)
            document: dict[str, Any] = describe(row)
        else:
            document = {"name": name, "releases": []}
            for release in found:
                row = session.get_one(CandidateRow, release.candidate_id)
                _, review = load_review(repository, row)
                document["releases"].append(
                    {
                        "version": release.version,
                        "kind": release.kind,
                        "state": release.state,
                        "published_at": render_moment(release.published_at),
                        "bundle_sha256": release.bundle_sha256,
                        "tree_sha256": release.tree_sha256,
                        "review_sha256": release.review_sha256,
                        "reviewers": release.reviewers.split(","),
                        "review": review.to_statement().predicate,
                    }
                )
    console.answer(document, _text(document))


@click.command()
@click.option("--verify", is_flag=True, help="Check the hash chain and print its head.")
@console_option
@click.pass_context
def log(ctx: click.Context, verify: bool, console: Console) -> None:
    """Show who did what, oldest first."""
    from repo_server.db import log as records
    from repo_server.db.session import snapshot

    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        if verify:
            head = records.check(session)
            document = {"records": head.sequence, "head": head.digest}
            console.answer(document, f"{head.sequence} records, chain intact, head {head.digest}")
            return
        found = records.read(session)
    lines = []
    for record in found:
        facts = "  ".join(f"{key}={value}" for key, value in sorted(record.facts.items()) if value)
        lines.append(f"{record.sequence:5}  {render_moment(record.time)}  {record.event:20} {facts}")
    console.answer(
        {
            "records": [
                {"sequence": r.sequence, "time": render_moment(r.time), "event": r.event, "facts": r.facts}
                for r in found
            ]
        },
        "\n".join(lines),
    )


def _text(document: dict[str, Any]) -> str:
    if "candidate" in document:
        return "\n".join(f"{key:12} {value}" for key, value in document.items())
    lines = []
    for item in document["releases"]:
        review = item["review"]
        lines += [
            f"{document['name']}=={item['version']}  ({item['kind']}, {item['state']})",
            f"  from      {review['candidate']['address']}",
            f"  reviewed  {review['reviewed_at']} by {', '.join(item['reviewers'])}: {review['reason']}",
            f"  bundle    sha256 {item['bundle_sha256']}",
            f"  tree      sha256 {item['tree_sha256']}",
            f"  hosts     {', '.join(review['surface']['hosts']) or '-'}",
            *(
                f"  waived    {waiver['finding']} by {waiver['by']}: {waiver['reason']}"
                for waiver in review["waivers"]
            ),
        ]
    return "\n".join(lines)
