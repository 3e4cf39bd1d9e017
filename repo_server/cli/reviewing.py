"""`skillrepo review`: look, then decide; or only look, as a script does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from repo_server.cli.bare_review import check_ci, review_folder, review_list
from repo_server.cli.context import acting_as, clock, open_desk, open_signer
from signing.console import Console, console_option
from signing.errors import BlockedError, FormatError, UsageError
from signing.format.finding import Severity
from signing.format.review import Decision

if TYPE_CHECKING:
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.engines import EngineSettings
    from repo_server.curation.examination import Examination
    from repo_server.curation.rendering import ReviewPage
    from repo_server.desk import Desk
    from repo_server.policy import Policy
    from repo_server.repository import Repository
    from signing.format.review import Review

_SHORT = 12  # characters of an acknowledgement that are enough


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What the command line says about the decision."""

    decision: str | None
    reason: str | None
    waive: tuple[str, ...]
    waive_until: datetime | None
    renew_waivers: bool
    acknowledge: str | None


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
    given = _Given(
        decision=options["decision"],
        reason=options["reason"],
        waive=options["waive"],
        waive_until=_end_of(options["waive_until"]),
        renew_waivers=options["renew_waivers"],
        acknowledge=options["acknowledge"],
    )
    asks = given.decision is None and console.can_ask() and not options["ci"]
    desk = open_desk(ctx, console, to_sign=given.decision is not None or asks)
    examination = _examine(desk, candidate, console)
    _check_tree(examination, options["tree"])
    page = _page(desk, examination)
    _write_pages(page, options["html"], options["sarif"])
    if asks:
        _show(page, pager=True)
        given = _ask(examination, given)
    elif given.decision is None and not console.as_json:
        _show(page, pager=False)
    if given.decision is None:
        console.answer(_document(examination), _next(examination))
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
    given: _Given,
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
    verdict = _verdict(seen, given, policy)
    name = acting_as(holder, repository, "curator")
    _note_displaced(desk, seen, verdict, name, console)
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
        )
        state, digest = row.state, row.review_sha256
    desk.hand_in_review(seen.row.id, replaces=replaces)
    following = f"\nnext: skillrepo sign {seen.row.id}" if made.decision is Decision.APPROVE else ""
    words = {Decision.APPROVE: "approved", Decision.REJECT: "rejected", Decision.NEEDS_WORK: "sent back"}
    console.answer(
        {
            **_document(seen),
            "state": state,
            "decision": made.decision.value,
            "review_sha256": digest,
            "reason": made.reason,
            "reviewer": made.reviewer,
            "by": signer.held.holder,
            "acknowledged": made.acknowledged,
        },
        f"{words[made.decision]} by {signer.held.holder}: {made.pin}{following}",
    )


def _note_displaced(
    desk: "Desk", seen: "Examination", verdict: "Verdict", name: str, console: Console
) -> None:
    """Say so when an approval would take the place of another one, and of the signatures on it."""
    from repo_server.curation.deciding import differences, draft_review
    from signing.format.names import parse_holder_name

    policy = desk.repository.policy
    for standing in _decided(desk, seen):
        if verdict.decision is not Decision.APPROVE or standing.decision is not Decision.APPROVE:
            continue
        mine = draft_review(
            seen,
            verdict,
            reviewer=parse_holder_name(name),
            now=clock(),
            policy_sha256=policy.digest if policy is not None else None,
        )
        parts = ", ".join(differences(standing, mine))
        if parts or standing.reviewer == mine.reviewer:
            console.note(
                f"{standing.reviewer} approved this already. Yours "
                + (f"says something else ({parts})" if parts else "is a new statement")
                + " and takes the place of that review, also of the signatures that others gave on it"
            )


def _engines(repository: "Repository") -> "EngineSettings":
    """Return which engines are to look: those in the settings, and those that the policy demands."""
    settings, policy = repository.engine_settings, repository.policy
    demanded = policy.required_engines if policy is not None else ()
    return replace(settings, use=tuple(dict.fromkeys((*settings.use, *demanded))))


def _verdict(examination: "Examination", given: _Given, policy: "Policy | None") -> "Verdict":
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.waiving import WAIVER_LIFE
    from signing.format.digest import Sha256

    if not given.reason:
        raise UsageError("a decision needs a reason", hint="--reason 'what you saw and why it is enough'")
    waive = _waivers(given.waive)
    if given.renew_waivers:
        waive = {waiver.finding: waiver.reason for waiver in examination.earlier_waivers} | waive
    expected, acknowledged = examination.acknowledgement, None
    if given.acknowledge is not None:
        text = given.acknowledge.lower()
        if expected is None or len(text) < _SHORT or not expected.startswith(text):
            raise BlockedError(
                "what you acknowledge is not what changed"
                + ("" if expected is None else f": that is {expected[:_SHORT]}"),
                hint="review it again, and read what it may touch that the last version could not",
            )
        acknowledged = Sha256(expected)
    until = given.waive_until
    if until is None and policy is not None and policy.waiver_life is not None:
        until = clock() + min(policy.waiver_life, WAIVER_LIFE)
    return Verdict(
        decision=Decision(given.decision or ""),
        reason=given.reason,
        waive=waive,
        waive_until=until,
        acknowledged=acknowledged,
    )


def _ask(examination: "Examination", given: _Given) -> _Given:
    """Ask a person for the decision; nothing is decided by pressing Enter."""
    choices = [Decision.APPROVE.value, Decision.REJECT.value, Decision.NEEDS_WORK.value, "later"]
    choice = click.prompt(
        "approve, reject, needs-work, or later", type=click.Choice(choices), err=True, show_choices=False
    )
    if choice == "later":
        return given
    if choice == Decision.APPROVE.value:
        given = _ask_about_changes(examination, given)
        known = {waiver.finding: waiver for waiver in examination.earlier_waivers}
        asked = set(_waivers(given.waive))
        for finding in examination.findings:
            if finding.severity is Severity.BLOCK and finding.id not in asked:
                earlier = known.get(finding.id)
                if earlier is not None:
                    click.echo(f"{earlier.by} waived this in the last version: {earlier.reason}", err=True)
                why = click.prompt(f"{finding.check} blocks ({finding.id}); why is it acceptable?", err=True)
                given = replace(given, waive=(*given.waive, f"{finding.id}={why}"))
    return replace(given, decision=choice, reason=given.reason or click.prompt("reason", err=True))


def _ask_about_changes(examination: "Examination", given: _Given) -> _Given:
    if examination.acknowledgement is None or given.acknowledge is not None:
        return given
    count = len(examination.surface_changes)
    click.confirm(
        f"it may touch what the last version could not ({count} change{'s' * (count > 1)} above); "
        "have you read them, and are they meant?",
        err=True,
        abort=True,
    )
    return replace(given, acknowledge=examination.acknowledgement)


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


def _document(examination: "Examination") -> dict[str, Any]:
    from repo_server.curation.rendering.words import explained

    return {
        **examination.to_json(),
        "findings": [explained(finding) for finding in examination.findings],
    }


def _next(examination: "Examination") -> str:
    changes = examination.acknowledgement
    acknowledge = f" --acknowledge {changes[:_SHORT]}" if changes is not None else ""
    return (
        f"decide: skillrepo review {examination.row.id} --tree {examination.tree.digest}{acknowledge}"
        " --approve --reason '…'"
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


def _waivers(given: Sequence[str]) -> dict[str, str]:
    result = {}
    for item in given:
        finding, separator, why = item.partition("=")
        if not separator or not why.strip():
            raise UsageError(f"{item!r} is not FINDING=REASON", hint="use the finding's id from review")
        result[finding] = why.strip()
    return result


def _end_of(day: datetime | None) -> datetime | None:
    if day is None:
        return None
    end = datetime.combine(day.date(), time(23, 59, 59), tzinfo=UTC)
    if end <= clock():
        raise FormatError("that day is over", where="--waive-until")
    return end
