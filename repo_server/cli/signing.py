"""`skillrepo sign`, `publish` and `renew`."""

from collections.abc import Sequence
from typing import Any

import click

from repo_server.cli.context import (
    acting_as,
    clock,
    confirm,
    open_desk,
    open_signer,
)
from repo_server.curation.textsafe import visible
from repo_server.publishing.proposals import Change
from signing.console import Console, console_option
from signing.errors import BlockedError
from signing.roles import PROFILES

_SHOWN = 3


@click.command()
@click.argument("candidate", metavar="CANDIDATE|NAME[==VERSION]")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def sign(ctx: click.Context, candidate: str, holder: str | None, yes: bool, console: Console) -> None:
    """Show exactly what would change in the signed metadata, check it against the review, and sign it."""
    from repo_server.curation.candidates import find
    from repo_server.db.session import snapshot, transaction
    from repo_server.publishing.releases import give_signature, load_reviewed, plan_signature, subject_of

    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "curator")
    with snapshot(repository.engine) as session:
        subject = subject_of(find(session, candidate))
    desk.prepare_proposals(subject)
    with transaction(repository.engine) as session:
        row = find(session, candidate)
        release = load_reviewed(repository, session, row, now=clock())
        changes = plan_signature(session, row, release, now=clock())
        shown_id, shown = row.id, [release.to_json(), *what_changes(changes)]
    console.note(
        f"{release.review.pin}: reviewed by {', '.join(release.reviewers)} ({visible(release.review.reason, keep='')})\n"
        f"{render_changes(changes)}"
    )
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with transaction(repository.engine) as session:
        row = find(session, shown_id)
        release = load_reviewed(repository, session, row, now=clock())
        check_same(
            shown, [release.to_json(), *what_changes(plan_signature(session, row, release, now=clock()))]
        )
        changes = give_signature(session, row, release, signer, now=clock())
        state = row.state
    desk.hand_in_signatures(subject, keyid=signer.public_key.keyid)
    console.answer(
        {
            **release.to_json(),
            "candidate": row.id,
            "state": state,
            "changes": [change.to_json() for change in changes],
            **standing_document(changes),
        },
        f"signed by {name}: {release.review.pin}\n{standing_text(changes)}",
    )


@click.command()
@console_option
@click.pass_context
def publish(ctx: click.Context, console: Console) -> None:
    """Publish everything that has enough signatures."""
    document = open_desk(ctx, console).publish(now=clock())
    lines = [
        f"published {'profile ' if item['kind'] == 'profile' else ''}{item['name']}=={item['version']}"
        for item in document["published"]
    ]
    lines += [f"renewed {role}" for role in document["renewed"]]
    lines += [f"{item['state']} {item['scope']}  ({item['id'][:12]})" for item in document["withdrawals"]]
    lines += [f"waiting   {item['subject']}: {', '.join(item['missing'])}" for item in document["pending"]]
    lines += [
        f"BLOCKED   {item['subject']}: {item['code']}: {item['message']}" for item in document["blocked"]
    ]
    if document["snapshot_version"] is not None:
        lines.append(f"snapshot {document['snapshot_version']}, timestamp {document['timestamp_version']}")
    console.answer(document, "\n".join(lines) or "nothing waits to be published")


@click.command()
@click.argument("role", metavar="targets|skills|profiles|revocations")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator or operator whose key signs.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def renew(ctx: click.Context, role: str, holder: str | None, yes: bool, console: Console) -> None:
    """Sign ROLE for another term: the same content, a new version, a new end. Then publish.

    revocations needs one curator, every 30 days; the others need as many as releases and profiles do.
    """
    from repo_server.db.session import transaction
    from repo_server.publishing.renewals import give_renewal, plan_renewal, renewed_content, subject_of

    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "operator" if role == PROFILES else "curator")
    desk.prepare_proposals(subject_of(role))
    with transaction(repository.engine) as session:
        changes = plan_renewal(repository, session, role, now=clock())
        shown = what_changes(changes)
        content = renewed_content(session, role)
    first = changes[: _SHOWN + 1]
    more = f"\n  … and {len(changes) - len(first)} more of its hash bins" if len(changes) > len(first) else ""
    console.note(f"{role}: nothing but versions and ends changes\n{render_changes(first)}{more}\n{content}")
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with transaction(repository.engine) as session:
        check_same(shown, what_changes(plan_renewal(repository, session, role, now=clock())))
        changes = give_renewal(repository, session, role, signer, now=clock())
    desk.hand_in_signatures(subject_of(role), keyid=signer.public_key.keyid)
    console.answer(
        {
            "role": role,
            "changes": [change.to_json() for change in changes],
            **standing_document(changes),
        },
        f"signed by {name}: {role}\n{standing_text(changes)}",
    )


def what_changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return what a signer is shown of ``changes``, without who has signed so far."""
    return [
        {
            key: value
            for key, value in change.to_json().items()
            if key not in {"signed", "missing", "threshold"}
        }
        for change in changes
    ]


def check_same(shown: Sequence[object], now_planned: Sequence[object]) -> None:
    """Raise BlockedError when what is about to be signed is not what was shown.

    Between the question and the answer the database may have changed: by somebody else, or on purpose.
    """
    if list(shown) != list(now_planned):
        raise BlockedError(
            "what would be signed changed while you looked", hint="look again; nothing was signed"
        )


def render_changes(changes: Sequence[Change]) -> str:
    """Return what signing would change, for people."""
    lines = []
    for change in changes:
        lines.append(f"  {change.role}: version {change.old_version} becomes {change.new_version}")
        lines += [
            f"    + {target.path}\n      sha256 {target.hashes['sha256']}  {target.length} bytes"
            for target in change.added
        ]
    return "\n".join(lines)


def standing_document(changes: Sequence[Change]) -> dict[str, Any]:
    """Return how far the signatures have come, for ``--json``."""
    return {
        "complete": all(change.standing.complete for change in changes),
        "signed": sorted({name for change in changes for name in change.standing.signed}),
        "missing": sorted(
            {name for change in changes if not change.standing.complete for name in change.standing.missing}
        ),
    }


def standing_text(changes: Sequence[Change]) -> str:
    """Return how far the signatures have come, for people."""
    document = standing_document(changes)
    if document["complete"]:
        return "complete: skillrepo publish"
    need = max(change.standing.threshold - len(change.standing.signed) for change in changes)
    return f"{need} more signature(s) needed, of: {', '.join(document['missing'])}"
