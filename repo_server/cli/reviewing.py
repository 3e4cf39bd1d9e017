"""`skillrepo review`: look, then decide; or only look, as a script does."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from repo_server.cli.bare_review import check_ci, review_folder, review_list
from repo_server.cli.context import acting_as, clock, open_desk, open_signer
from repo_server.cli.given import SHORT, Given, ask, check_given, end_of, verdict_of
from repo_server.cli.seconding import (
    approval_of,
    differences_from,
    note_differences,
    note_displaced,
    other_parts,
    seconding_of,
)
from signing.console import Console, console_option
from signing.errors import BlockedError, UsageError
from signing.format.review import Decision

if TYPE_CHECKING:
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.engines import EngineSettings
    from repo_server.curation.examination import Examination
    from repo_server.curation.rendering import ReviewPage
    from repo_server.curation.seconding import Seconding
    from repo_server.desk import Desk
    from repo_server.repository import Repository
    from signing.format.review import Review


@click.command()
@click.argument("candidate", metavar="CANDIDATE|NAME[==VERSION]", required=False)
@click.option("--path", "folder", type=click.Path(path_type=Path), help="Check a bare folder or archive.")
@click.option(
    "--path-list", type=click.File(), metavar="FILE", help="Check many folders, one a line; - is stdin."
)
@click.option("--json-lines", is_flag=True, help="With --path-list: one JSON object for each.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the review as one web page."
)
@click.option("--sarif", type=click.Path(path_type=Path), metavar="FILE", help="Write the findings as SARIF.")
@click.option("--ci", is_flag=True, help="Exit 12 when something blocks that nobody has waived.")
@click.option("--tree", "tree", metavar="SHA256", help="With a decision: refuse unless these are the files.")
@click.option("--approve", "decision", flag_value=Decision.APPROVE.value, help="Decide: may be signed.")
@click.option("--reject", "decision", flag_value=Decision.REJECT.value, help="Decide: may not.")
@click.option("--needs-work", "decision", flag_value=Decision.NEEDS_WORK.value, help="Decide: not like this.")
@click.option("--reason", help="Why; it is signed with the decision.")
@click.option(
    "--acknowledge", metavar="DIGEST", help="The changes in what it may touch, as review names them."
)
@click.option("--waive", multiple=True, metavar="FINDING=REASON", help="Answer for a blocking finding.")
@click.option(
    "--waive-until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="When your waivers end."
)
@click.option("--renew-waivers", is_flag=True, help="Answer again for what was waived in the last version.")
@click.option(
    "--engine-differs", metavar="WHY", help="Sign another curator's approval, though engines differ here."
)
@click.option(
    "--replace", "replace", is_flag=True, help="Approve by a review of your own in place of another's."
)
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs the decision.")
@console_option
@click.pass_context
def review(ctx: click.Context, /, candidate: str | None, console: Console, **options: Any) -> None:
    """Examine CANDIDATE: findings, surface, diff to the last published version. Then decide, with a reason."""
    if options["path_list"] is not None:
        review_list(options["path_list"], console, json_lines=options["json_lines"], ci=options["ci"])
        return
    if options["folder"] is not None:
        review_folder(
            options["folder"], console, html=options["html"], sarif=options["sarif"], ci=options["ci"]
        )
        return
    if candidate is None:
        raise UsageError(
            "nothing to review", hint="name a candidate (skillrepo status), or a folder: --path DIR"
        )
    given = Given(
        decision=options["decision"],
        reason=options["reason"],
        waive=options["waive"],
        waive_until=end_of(options["waive_until"]),
        renew_waivers=options["renew_waivers"],
        acknowledge=options["acknowledge"],
        engine_differs=options["engine_differs"],
        replace=options["replace"],
    )
    check_given(given)
    asks = given.decision is None and console.can_ask() and not options["ci"]
    desk = open_desk(ctx, console, to_sign=given.decision is not None or asks)
    examination = _examine(desk, candidate, console)
    _check_tree(examination, options["tree"])
    page = _page(desk, examination)
    _write_pages(page, options["html"], options["sarif"])
    if asks:
        _show(page, pager=True)
        note_differences(approval_of(desk, examination), examination, console)
        given = ask(desk, examination, given, options["holder"])
    elif given.decision is None and not console.as_json:
        _show(page, pager=False)
        note_differences(approval_of(desk, examination), examination, console)
    if given.decision is None:
        console.answer(_document(desk, examination), _next(desk, examination))
        if options["ci"]:
            _check_waived(desk, examination)
        return
    _decide(ctx, desk, examination, given, options["holder"], console)


def _examine(desk: "Desk", candidate: str, console: Console) -> "Examination":
    from repo_server.curation.candidates import find, load_tree
    from repo_server.curation.engines import run_engines
    from repo_server.curation.examination import examine
    from repo_server.db.session import snapshot

    repository = desk.repository
    with snapshot(repository.engine) as session:  # looking must not keep others from writing
        row = find(session, candidate)
        tree = load_tree(repository, row)
    reports = run_engines(_engines(repository), tree, note=console.note)
    with snapshot(repository.engine) as session:
        return examine(repository, session, find(session, row.id), reports=reports)


def _decide(
    ctx: click.Context,
    desk: "Desk",
    seen: "Examination",
    given: Given,
    holder: str | None,
    console: Console,
) -> None:
    from repo_server.curation.candidates import find
    from repo_server.curation.deciding import decide
    from repo_server.curation.examination import examine
    from repo_server.db.session import transaction
    from signing.format.digest import Sha256

    repository = desk.repository
    policy = repository.policy
    name = acting_as(holder, repository, "curator")
    verdict, seconding = _verdict_and_seconding(desk, seen, given, name)
    if seconding is None:
        note_displaced(desk, seen, verdict, by=name, console=console)
    why = given.engine_differs or ""
    signer = open_signer(ctx, repository, name)
    replaces = Sha256(seen.row.review_sha256) if seen.row.review_sha256 is not None else None
    with transaction(repository.engine) as session:
        row = find(session, seen.row.id)
        fresh = examine(repository, session, row, reports=seen.reports)
        if fresh.to_json() != seen.to_json():
            raise BlockedError("the candidate changed while you looked", hint="review it again")
        made = decide(
            repository,
            session,
            fresh,
            verdict,
            signer=signer,
            now=clock(),
            policy_sha256=policy.digest if policy is not None else None,
            seconding=seconding,
            engines_differ=why,
        )
        state, digest = row.state, row.review_sha256
    differing = seconding.check(why) if seconding is not None else None
    desk.hand_in_review(seen.row.id, replaces=replaces, differing=differing)
    following = f"\nnext: skillrepo sign {seen.row.id}" if made.decision is Decision.APPROVE else ""
    words = {Decision.APPROVE: "approved", Decision.REJECT: "rejected", Decision.NEEDS_WORK: "sent back"}
    by = signer.held.holder
    console.answer(
        {
            **_document(desk, seen),
            "state": state,
            "decision": made.decision.value,
            "review_sha256": digest,
            "reason": made.reason,
            "reviewer": made.reviewer,
            "by": by,
            "acknowledged": made.acknowledged,
            "engines_differ": differing.to_json() if differing is not None else None,
        },
        f"{words[made.decision]} by {by}{f' with the review of {made.reviewer}' if made.reviewer != by else ''}"
        f": {made.pin}{following}",
    )


def _verdict_and_seconding(
    desk: "Desk", seen: "Examination", given: Given, name: str
) -> "tuple[Verdict, Seconding | None]":
    """Return what is decided, and whether by signing what somebody else approved.

    Raises:
        BlockedError: engines say something else here; see `seconding_of`.
    """
    policy = desk.repository.policy
    approval = approval_of(desk, seen) if given.decision == Decision.APPROVE else None
    seconding = seconding_of(approval, seen, name=name, replace=given.replace, why=given.engine_differs)
    if seconding is None:
        return verdict_of(seen, given, policy), None
    verdict = verdict_of(seconding.examination, given, policy)
    standing = seconding.standing
    parts = other_parts(seconding.examination, standing, verdict, by=name, policy=policy)
    if not parts:
        return verdict, seconding
    if given.engine_differs is not None:
        raise BlockedError(
            f"{standing.reviewer}'s review cannot be signed by you: it differs in {', '.join(parts)} too",
            hint="waive the same findings, or decide by a review of your own: --replace",
        )
    return verdict_of(seen, given, policy), None


def _engines(repository: "Repository") -> "EngineSettings":
    """Return which engines are to look: those in the settings, and those that the policy demands."""
    settings, policy = repository.engine_settings, repository.policy
    demanded = policy.required_engines if policy is not None else ()
    return replace(settings, use=tuple(dict.fromkeys((*settings.use, *demanded))))


def _check_tree(examination: "Examination", wanted: str | None) -> None:
    found = examination.tree.digest
    if wanted is not None and wanted != found:
        raise BlockedError(f"the files are {found}, you looked at {wanted}", hint="review it again")


def _check_waived(desk: "Desk", examination: "Examination") -> None:
    """Raise BlockedError when something blocks that no valid waiver of the stored review answers for."""
    now = clock()
    waived = {
        waiver.finding
        for made in _decided(desk, examination)
        for waiver in made.waivers
        if waiver.until > now
    }
    check_ci(finding for finding in examination.findings if finding.id not in waived)


def _document(desk: "Desk", examination: "Examination") -> dict[str, Any]:
    from repo_server.curation.rendering.words import explained

    return {
        **examination.to_json(),
        "engine_differences": list(differences_from(approval_of(desk, examination), examination)),
        "findings": [explained(finding) for finding in examination.findings],
    }


def _next(desk: "Desk", examination: "Examination") -> str:
    changes = examination.acknowledgement
    acknowledge = f" --acknowledge {changes[:SHORT]}" if changes is not None else ""
    differ = " --engine-differs '…'" if differences_from(approval_of(desk, examination), examination) else ""
    return (
        f"decide: skillrepo review {examination.row.id} --tree {examination.tree.digest}{acknowledge}"
        f" --approve --reason '…'{differ}"
    )


def _page(desk: "Desk", examination: "Examination") -> "ReviewPage":
    from repo_server.curation.rendering import page_of

    return page_of(examination, reviews=_decided(desk, examination), now=clock())


def _decided(desk: "Desk", examination: "Examination") -> "tuple[Review, ...]":
    """Return the decision that stands, if there is one."""
    from repo_server.curation.examination import load_review

    if examination.row.review_sha256 is None:
        return ()
    return (load_review(desk.repository, examination.row)[1],)


def _show(page: "ReviewPage", *, pager: bool) -> None:
    from repo_server.cli.screens import paged
    from repo_server.curation.rendering import render_terminal

    with paged(pager=pager) as screen:
        render_terminal(page, screen)


def _write_pages(page: "ReviewPage", html: Path | None, sarif: Path | None) -> None:
    from repo_server.cli.screens import write_html, write_sarif

    if html is not None:
        write_html(html, page)
    if sarif is not None:
        write_sarif(sarif, page)
