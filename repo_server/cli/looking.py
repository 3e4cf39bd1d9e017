"""`skillrepo status`, `show` and `log`."""

from typing import Any

import click

from repo_server.cli.context import clock, open_desk
from repo_server.curation.textsafe import visible
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

    repository = open_desk(ctx, console).repository
    with snapshot(repository.engine) as session:
        document = overview(repository, session, now=clock())
    console.answer(document, "\n".join(_status_lines(document)))


def _status_lines(document: dict[str, Any]) -> list[str]:
    lines = []
    for item in document["candidates"]:
        waiting = f"  waits for {', '.join(item['missing'])}" if item["missing"] else ""
        waiting += f"  {item['withdrawn'].upper()}" if item["withdrawn"] is not None else ""
        lines.append(f"{item['candidate']}  {item['state']:10} {item['name']}=={item['version']}{waiting}")
    lines += [
        f"{'':32}  {item['state']:10} profile {item['name']}=={item['version']}"
        for item in document["profiles"]
    ]
    for item in document["waiting"]:
        if not item["subject"].startswith("candidate:"):
            whom = ", ".join(item["missing"]) or "publication"
            lines.append(f"waiting   {item['subject']}  for {whom}")
    for item in document["withdrawals"]:
        severity = f", {item['severity']}" if item["severity"] else ""
        lines.append(
            f"{item['id'][:12]}  {item['state']}{severity}  {item['scope']}  {item['at']} by {item['by']}:"
            f" {_line(item['reason'])}"
        )
        if item["lifting"]:
            who, need = ", ".join(item["lifting"]), item["threshold"] - len(item["lifting"])
            lines.append(
                f"{'':12}  {who} would lift this; {need} more curator(s) needed: skillrepo reinstate"
            )
    lines += [
        f"waiver    {item['release']}: {item['finding']} by {item['by']} ends {item['until']}: {_line(item['reason'])}"
        for item in document["waivers"]
    ]
    lines += [
        f"packages  {item['repository']}  "
        + ("" if item["serial"] is None else f"serial {item['serial']}, {item['packages']} packages, ")
        + f"built by {', '.join(item['builders'])}"
        for item in document["packages"]
    ]
    lines += [
        f"role {role:12} version {item['version']:4}  expires {item['expires']}"
        for role, item in document["roles"].items()
    ]
    return [*lines, *(f"PROBLEM: {_line(problem)}" for problem in document["problems"])]


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
    from repo_server.publishing.standing import withdrawals_of

    repository = open_desk(ctx, console).repository
    with snapshot(repository.engine) as session:
        name, separator, version = what.partition("==")
        found = releases_of(session, name)
        if separator:
            found = [row for row in found if row.version == version]
        if not found and separator:
            raise NotFoundError(f"{Pin.parse(what)} is not published", hint="skillrepo status lists what is")
        if not found:
            row = find(session, what)
            review = load_review(repository, row)[1] if row.review_sha256 is not None else None
            document: dict[str, Any] = {
                **describe(row),
                "review": review.to_statement().predicate if review is not None else None,
            }
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
                        "withdrawals": [
                            entry.to_json() for entry in withdrawals_of(repository, session, release)
                        ],
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
@click.argument("about", metavar="[NAME|CANDIDATE|EVENT]", required=False)
@click.option(
    "--since", help="Only what happened since: 2026-11-22, 2026-11-22T12:00:00Z, or 12h, 7d, 4w ago."
)
@click.option("--verify", is_flag=True, help="Check the hash chain and print its head.")
@console_option
@click.pass_context
def log(ctx: click.Context, about: str | None, since: str | None, verify: bool, console: Console) -> None:
    """Show who did what, oldest first: all of it, or what is about one name, candidate or kind of event."""
    from repo_server.db import log as records
    from repo_server.db.session import snapshot
    from repo_server.publishing.log_view import about_filter, parse_since, render_record

    desk = open_desk(ctx, console)
    desk.fetch_log()
    repository = desk.repository
    start = parse_since(since, now=clock()) if since is not None else None
    with snapshot(repository.engine) as session:
        if verify:
            head = records.check(session)
            document = {"records": head.sequence, "head": head.digest}
            console.answer(document, f"{head.sequence} records, chain intact, head {head.digest}")
            return
        found = records.read(session)
        if about is not None:
            wanted = about_filter(session, about)
            found = [record for record in found if wanted(record)]
    found = [record for record in found if start is None or record.time >= start]
    console.answer(
        {
            "records": [
                {"sequence": r.sequence, "time": render_moment(r.time), "event": r.event, "facts": r.facts}
                for r in found
            ]
        },
        "\n".join(render_record(record) for record in found),
    )


def _text(document: dict[str, Any]) -> str:
    if "candidate" in document:
        return "\n".join(_candidate_lines(document))
    lines = []
    for item in document["releases"]:
        review = item["review"]
        lines += [
            f"{document['name']}=={item['version']}  ({item['kind']}, {item['state']})",
            *(
                f"  {entry['state'].upper():9} {entry['at']} by {entry['by']}: {_line(entry['reason'])}"
                for entry in item["withdrawals"]
            ),
            f"  from      {_line(review['candidate']['address'])}",
            f"  reviewed  {review['reviewed_at']} by {', '.join(item['reviewers'])}: {_line(review['reason'])}",
            f"  bundle    sha256 {item['bundle_sha256']}",
            f"  tree      sha256 {item['tree_sha256']}",
            f"  hosts     {_line(', '.join(review['surface']['hosts'])) or '-'}",
            *(
                f"  waived    {waiver['finding']} by {waiver['by']}: {_line(waiver['reason'])}"
                for waiver in review["waivers"]
            ),
        ]
    return "\n".join(lines)


def _candidate_lines(document: dict[str, Any]) -> list[str]:
    plain = {key: value for key, value in document.items() if key not in {"resolved", "review"}}
    plain |= {"resolved": ", ".join(f"{key}={value}" for key, value in document["resolved"].items()) or "-"}
    lines = [f"{key:12} {_line(str(value))}" for key, value in plain.items()]
    if (review := document["review"]) is None:
        return [*lines, f"{'reviewed':12} not yet: skillrepo review {document['candidate']}"]
    found = [finding for engine in review["engines"] for finding in engine["findings"]]
    blocking = sum(finding["severity"] == "block" for finding in found)
    decided = f"{review['decision']} by {review['reviewer']} at {review['reviewed_at']}"
    return [
        *lines,
        f"{'reviewed':12} {decided}: {_line(review['reason'])}",
        f"{'findings':12} {len(found)}, {blocking} blocking, {len(review['waivers'])} waived",
    ]


def _line(text: str) -> str:
    """Return words of somebody else as part of one line: with line breaks they could look like lines of ours."""
    return visible(text, keep="")
