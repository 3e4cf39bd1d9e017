"""`skillrepo review`: look, then decide; or only look, as a script does."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from repo_server.cli.context import acting_as, clock, open_repository, open_signer
from signing.console import Console, console_option
from signing.errors import BlockedError, UsageError
from signing.format.review import Decision, Finding, Severity

_COLOURS = {Severity.BLOCK: "bold red", Severity.LOOK: "yellow", Severity.NOTE: "dim"}


@click.command()
@click.argument("candidate", metavar="CANDIDATE|NAME[==VERSION]", required=False)
@click.option(
    "--path", "folder", type=click.Path(path_type=Path), help="Check a bare folder; no repository, no state."
)
@click.option("--tree", "tree", metavar="SHA256", help="With a decision: refuse unless these are the files.")
@click.option("--approve", "decision", flag_value="approve", help="Decide: may be signed.")
@click.option("--reject", "decision", flag_value="reject", help="Decide: may not.")
@click.option("--reason", help="Why; it is signed with the decision.")
@click.option("--waive", multiple=True, metavar="FINDING=REASON", help="Answer for a blocking finding.")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs the decision.")
@console_option
@click.pass_context
def review(
    ctx: click.Context,
    candidate: str | None,
    folder: Path | None,
    tree: str | None,
    decision: str | None,
    reason: str | None,
    waive: Sequence[str],
    holder: str | None,
    console: Console,
) -> None:
    """Examine CANDIDATE: findings, surface, diff to the last published version. Then decide, with a reason."""
    if folder is not None:
        _review_folder(folder, console)
        return
    if candidate is None:
        raise UsageError(
            "nothing to review", hint="name a candidate (skillrepo status), or a folder: --path DIR"
        )
    from repo_server.curation.candidates import find
    from repo_server.curation.reviewing import decide, examine
    from repo_server.db.session import snapshot, transaction

    repository = open_repository(ctx, console, to_sign=decision is not None or console.can_ask())
    with snapshot(repository.engine) as session:  # looking must not keep others from writing
        examination = examine(repository, session, find(session, candidate))
    document = examination.to_json()
    if tree is not None and tree != document["provenance"]["tree_sha256"]:
        raise BlockedError(
            f"the files are {document['provenance']['tree_sha256']}, you looked at {tree}",
            hint="review it again",
        )
    waivers = _waivers(waive)
    if decision is None and console.can_ask():
        _show(document, examination.findings, pager=True)
        decision, reason, waivers = _ask(examination.findings, reason, waivers)
    elif decision is None and not console.as_json:
        _show(document, examination.findings, pager=False)
    if decision is None:
        number, digest = document["candidate"], document["provenance"]["tree_sha256"]
        console.answer(document, f"decide: skillrepo review {number} --tree {digest} --approve --reason '…'")
        return
    if not reason:
        raise UsageError("a decision needs a reason", hint="--reason 'what you saw and why it is enough'")
    signer = open_signer(ctx, repository, acting_as(holder, repository, "curator"))
    with transaction(repository.engine) as session:
        row = find(session, examination.row.id)
        fresh = examine(repository, session, row)
        if fresh.to_json() != document:
            raise BlockedError("the candidate changed while you looked", hint="review it again")
        made = decide(
            repository,
            session,
            fresh,
            decision=Decision(decision),
            reason=reason,
            waive=waivers,
            signer=signer,
            now=clock(),
        )
        document |= {"state": row.state, "decision": made.decision.value, "review_sha256": row.review_sha256}
    following = f"\nnext: skillrepo sign {row.id}" if made.decision is Decision.APPROVE else ""
    console.answer(
        {**document, "reason": made.reason, "reviewer": made.reviewer, "by": signer.held.holder},
        f"{made.decision.value}d by {signer.held.holder}: {made.pin}{following}".replace(
            "rejectd", "rejected"
        ),
    )


def _review_folder(folder: Path, console: Console) -> None:
    from repo_server.curation.checks import run_checks, surface_of
    from repo_server.curation.limits import Limits
    from repo_server.curation.sources import SourceSettings, fetch, folder_address

    fetched = fetch(folder_address(str(folder)), limits=Limits(), settings=SourceSettings(), now=clock())
    report = run_checks(fetched.tree, name=None, strict=False)
    findings = [*fetched.observations, *report.findings]
    document = {
        "path": str(folder),
        "tree_sha256": fetched.tree.digest,
        "findings": [finding.to_json() for finding in findings],
        "surface": surface_of(fetched.tree).to_json(),
    }
    if not console.as_json:
        _show({**document, "surface_diff": [], "diff": ""}, findings, pager=False)
    console.answer(document)


def _show(document: dict[str, Any], findings: Sequence[Finding], *, pager: bool) -> None:
    """Print what a curator looks at; nothing from outside is printed raw."""
    from contextlib import nullcontext

    from rich.console import Console as Screen
    from rich.markup import escape
    from rich.text import Text

    from repo_server.curation.textsafe import visible

    os.environ.setdefault("LESS", "-R")  # or less shows every colour as ESC[1m
    screen = Screen(soft_wrap=True, highlight=False)
    with screen.pager(styles=True) if pager and sys.stdout.isatty() else nullcontext():
        if "name" in document:
            origin = document["provenance"]
            screen.print(
                f"[bold]{escape(document['name'])}=={escape(document['version'])}[/]  ({document['kind']})"
            )
            screen.print(f"  from      {escape(visible(origin['address']))}")
            screen.print(f"  publisher {escape(visible(origin['publisher'])) or '-'}")
            screen.print(f"  files     tree sha256 {origin['tree_sha256']}")
            screen.print(f"  licence   {escape(visible(origin['licence'])) or '-'}")
            screen.print(f"  previous  {document['previous'] or 'none: this is the first version'}")
        if document["diff"]:
            screen.rule("what changes in the files", align="left")
            for line in document["diff"].splitlines():
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
                screen.print(Text(visible(line), style=style))
        if document["surface_diff"]:
            screen.rule("what it may touch that the last version could not", align="left")
            for line in document["surface_diff"]:
                screen.print(Text(visible(line)))
        screen.rule(f"{len(findings)} finding{'' if len(findings) == 1 else 's'}", align="left")
        for finding in findings:
            place = f"{visible(finding.path)}:{finding.line}" if finding.line else visible(finding.path)
            label = f"[{_COLOURS[finding.severity]}]{finding.severity.value.upper():5}[/]"
            screen.print(f"{label} {finding.id}  {escape(finding.check)}  {escape(place)}")
            screen.print(Text(f"      {visible(finding.message)}"))
            if finding.excerpt:
                screen.print(Text(f"      │ {visible(finding.excerpt)}", style="dim"))


def _ask(
    findings: Sequence[Finding], reason: str | None, waivers: dict[str, str]
) -> tuple[str | None, str | None, dict[str, str]]:
    """Ask a person for the decision; nothing is decided by pressing Enter."""
    choice = click.prompt(
        "approve, reject, or later",
        type=click.Choice(["approve", "reject", "later"]),
        err=True,
        show_choices=False,
    )
    if choice == "later":
        return None, None, waivers
    if choice == "approve":
        for finding in findings:
            if finding.severity is Severity.BLOCK and finding.id not in waivers:
                why = click.prompt(f"{finding.check} blocks ({finding.id}); why is it acceptable?", err=True)
                waivers = {**waivers, finding.id: why}
    return choice, reason or click.prompt("reason", err=True), waivers


def _waivers(given: Sequence[str]) -> dict[str, str]:
    result = {}
    for item in given:
        finding, separator, why = item.partition("=")
        if not separator or not why.strip():
            raise UsageError(f"{item!r} is not FINDING=REASON", hint="use the finding's id from review")
        result[finding] = why.strip()
    return result
