"""`skillrepo yank`, `quarantine`, `revoke`, and the way back: `reinstate`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from repo_server.cli.context import (
    ONLINE,
    acting_as,
    clock,
    confirm,
    open_desk,
    open_signer,
)
from repo_server.curation.textsafe import visible
from repo_server.desk import Desk, LocalDesk
from repo_server.publishing.withdrawals import Draft
from signing.console import Console, console_option
from signing.errors import BlockedError, KeyAccessError, NotFoundError, RollbackError, UsageError
from signing.format.digest import parse_sha256
from signing.format.moment import render_moment
from signing.format.names import Pin, parse_holder_name, parse_skill_name
from signing.format.pkg.names import parse_package_name, parse_package_version
from signing.format.reinstatement import Reinstatement
from signing.format.scope import NamedRelease, Scope, parse_publisher
from signing.format.withdrawal import Harm, Withdrawal, Withdrawn
from signing.keystore import KEY_SUFFIX, SealedKeySigner

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from repo_server.repository import Repository

_SHOWN: Final = 20
_DIGEST: Final = "sha256:"
_PACKAGE: Final = "package:"
_BARE_DIGEST: Final = re.compile("[0-9a-fA-F]{64}", re.ASCII)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that withdrawing and reinstating have in common."""
    for option in (
        click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs."),
        click.option("--yes", is_flag=True, help="Do not ask before signing."),
        click.option(
            "--publish/--no-publish",
            default=None,
            help="Publish at once; default: when the online key is here.",
        ),
        console_option,
        click.pass_context,
    ):
        command = option(command)
    return command


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments that say what is withdrawn, and why."""
    for option in (
        click.argument(
            "what", metavar="NAME[==VERSION]|package:NAME[==VERSION]|sha256:DIGEST", required=False
        ),
        click.option("--publisher", metavar="SOURCE:NAME", help="Everything published from there."),
        click.option("--reason", required=True, help="Why; everybody who is refused reads it."),
        click.option(
            "--unpublished", is_flag=True, help="Also when it covers nothing that is published here."
        ),
    ):
        command = option(command)
    return command


@click.command()
@_scope_options
@_options
def yank(ctx: click.Context, console: Console, **given: Any) -> None:
    """Withdraw from new use. Profiles that pin it already go on; no new profile takes it up."""
    _withdraw(ctx, console, Withdrawn.YANKED, None, **given)


@click.command()
@_scope_options
@_options
def quarantine(ctx: click.Context, console: Console, **given: Any) -> None:
    """Block while it is examined: nobody is given it, no agent is born with it."""
    _withdraw(ctx, console, Withdrawn.QUARANTINED, None, **given)


@click.command()
@click.option(
    "--severity", required=True, type=click.Choice([item.value for item in Harm]), help="How bad it is."
)
@_scope_options
@_options
def revoke(ctx: click.Context, console: Console, severity: str, **given: Any) -> None:
    """Withdraw everywhere, also where it is installed."""
    _withdraw(ctx, console, Withdrawn.REVOKED, Harm(severity), **given)


@click.command()
@click.argument(
    "what", metavar="WITHDRAWAL|NAME[==VERSION]|package:NAME[==VERSION]|sha256:DIGEST|SOURCE:NAME"
)
@click.option("--reason", help="Why; for the first who asks. Who signs after that signs this reason.")
@click.option("--anew", is_flag=True, help="Give another reason; signatures on the first one are dropped.")
@_options
def reinstate(
    ctx: click.Context,
    console: Console,
    what: str,
    reason: str | None,
    anew: bool,
    holder: str | None,
    yes: bool,
    publish: bool | None,
) -> None:
    """Lift a withdrawal. It takes as many curators as publishing does; until then it stays in force."""
    from repo_server.db.session import snapshot
    from repo_server.publishing import reinstatements
    from repo_server.publishing.withdrawals import curators_of

    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "curator")
    with snapshot(repository.engine) as session:
        entry = reinstatements.find_withdrawal(repository, session, what, now=clock())
        curators = curators_of(repository, session)
        bare = replace(entry, lifted=None) if anew else entry
        statement, envelope = reinstatements.draft_reinstatement(
            repository, session, bare, reason=reason, by=parse_holder_name(name), now=clock()
        )
    console.note(_render_lifting(entry, statement))
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with snapshot(repository.engine) as session:
        draft = reinstatements.sign_reinstatement(repository, session, entry, envelope, signer, now=clock())
    _sign(desk, draft, signer)
    lifted = curators.have_lifted(draft.entry)
    signed = len(curators.lifting(draft.entry))
    how_far = (
        "enough curators have signed: it is lifted"
        if lifted
        else f"{signed} of {curators.threshold} curators have signed: it stays in force until the others run"
        f" skillrepo reinstate {entry.id[:12]}"
    )
    _answer(
        console,
        desk,
        draft,
        publish=publish,
        document={"lifted": lifted, "signed": signed, "threshold": curators.threshold},
        text=f"signed by {name}: lift {entry.state.value} {entry.scope}\n{how_far}",
    )


def _withdraw(
    ctx: click.Context,
    console: Console,
    state: Withdrawn,
    severity: Harm | None,
    *,
    what: str | None,
    publisher: str | None,
    reason: str,
    unpublished: bool,
    holder: str | None,
    yes: bool,
    publish: bool | None,
) -> None:
    from repo_server.db.session import snapshot
    from repo_server.publishing.origins import published_packages, published_profiles, releases_from
    from repo_server.publishing.withdrawals import draft_withdrawal

    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "curator")
    with snapshot(repository.engine) as session:
        releases = releases_from(repository, session, parse_publisher(publisher)) if publisher else ()
        scope = _scope_of(what, publisher, releases)
        draft = draft_withdrawal(
            repository,
            session,
            scope,
            state=state,
            severity=severity,
            reason=reason,
            by=parse_holder_name(name),
            now=clock(),
        )
        profiles = [str(profile.pin) for profile in published_profiles(repository, session, scope)]
        packages = [f"{pin} in {repo}" for repo, pin in published_packages(repository, session, scope)]
        if not draft.covered and not packages and not unpublished:
            raise NotFoundError(
                f"{scope} covers nothing that is published here",
                hint=f"{_near(repository, session, scope)}; --unpublished if you mean it all the same",
            )
    console.note("\n".join([_render_withdrawal(draft, profiles), *_few("package", packages)]))
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    _sign(desk, draft, signer)
    _answer(
        console,
        desk,
        draft,
        publish=publish,
        document={
            "covers": [item.release.to_json() for item in draft.covered],
            "packages": packages,
            "profiles": profiles,
        },
        text=f"signed by {name}: {state.value} {scope}",
    )


def _scope_of(what: str | None, publisher: str | None, releases: Sequence[NamedRelease]) -> Scope:
    if (what is None) is (publisher is None):
        raise UsageError(
            "name what to withdraw", hint="NAME, NAME==VERSION, package:NAME or sha256:DIGEST; or --publisher"
        )
    if what is None:
        return Scope(publisher=publisher, releases=tuple(releases))
    if what.startswith(_DIGEST):
        return Scope(sha256=parse_sha256(what.removeprefix(_DIGEST), where="digest"))
    if what.startswith(_PACKAGE):
        return _package_scope(what.removeprefix(_PACKAGE))
    if "==" in what:
        pin = Pin.parse(what)
        return Scope(name=pin.name, version=pin.version)
    if _BARE_DIGEST.fullmatch(what):
        # It is a skill's name too, by its letters: withdrawing that would protect nobody.
        raise UsageError("that looks like a digest", hint=f"write {_DIGEST}{what}")
    if ":" in what:
        raise UsageError(
            f"{what[:80]!a} is not a name", hint=f"a publisher is named by --publisher {what[:80]}"
        )
    return Scope(name=parse_skill_name(what))


def _package_scope(text: str) -> Scope:
    name, equals, version = text.partition("==")
    # "NAME==" is half a version, not all of them: nobody withdraws everything by an unset variable.
    return Scope(
        package=parse_package_name(name),
        package_version=parse_package_version(version) if equals else None,
    )


def _few(what: str, items: Sequence[str]) -> list[str]:
    shown = [f"  {what} {item}" for item in items[:_SHOWN]]
    return [*shown, *([f"  … and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else [])]


def _near(repository: "Repository", session: "Session", scope: Scope) -> str:
    """Return what is published that may have been meant."""
    from repo_server.publishing.origins import load_published_review, published_releases, publisher_of

    if scope.package is not None:
        return _near_packages(repository, session, scope.package)
    released = list(published_releases(repository, session))
    if scope.publisher is not None:
        known = {publisher_of(load_published_review(repository, item)) for item in released}
        meant = sorted(name for name in known if name.casefold() == scope.publisher.casefold()) or sorted(
            known
        )
    else:
        meant = sorted(str(item.release.pin) for item in released if item.release.pin.name == scope.name)
    if not meant:
        return "skillrepo status lists what is"
    return f"published are: {', '.join(meant[:_SHOWN])}"


def _near_packages(repository: "Repository", session: "Session", name: str) -> str:
    """Return which packages may have been meant: other versions, or one whose version was written as pkg does."""
    from repo_server.pkgrepo.indexes import appointed_repos, published_index

    indexes = [published_index(repository, session, repo) for repo in appointed_repos(repository, session)]
    known = {package.pin for index in indexes if index is not None for package in index.all_packages()}
    meant = sorted(pin for pin in known if name in {pin.name, str(pin)}) or sorted(
        pin for pin in known if pin.name.casefold() == name.casefold()
    )
    if not meant:
        return "skillrepo status lists the package repositories; without package: it is a skill's name"
    return f"published are: {', '.join(f'{_PACKAGE}{pin.name}=={pin.version}' for pin in meant[:_SHOWN])}"


def _sign(desk: Desk, draft: Draft, signer: SealedKeySigner) -> None:
    from repo_server.db.session import transaction
    from repo_server.publishing.withdrawals import give_list, keep_list

    repository = desk.repository
    try:
        with transaction(repository.engine) as session:
            subject = keep_list(repository, session, draft.revocations.render(), now=clock())
        desk.prepare_proposals(subject)
        name = subject.partition(":")[2]
        with transaction(repository.engine) as session:
            give_list(repository, session, name, signer, entry=draft.entry, now=clock())
    except RollbackError as error:
        raise BlockedError(
            "the list of withdrawals changed while you looked", hint="look again; nothing was signed"
        ) from error
    desk.hand_in_signatures(subject, keyid=signer.public_key.keyid)


def _answer(
    console: Console,
    desk: Desk,
    draft: Draft,
    *,
    publish: bool | None,
    document: dict[str, Any],
    text: str,
) -> None:
    """Publish when that can be done from here, and say what came of it."""
    entry = draft.entry
    answer = {
        "withdrawal": entry.id,
        "state": entry.state.value,
        "scope": entry.scope.to_json(),
        "severity": entry.severity.value if entry.severity is not None else None,
        "reason": entry.reason,
        **document,
    }
    if not (publish if publish is not None else _online_key_is_here(desk)):
        console.answer(
            {**answer, "published": False, "hidden_until": None},
            f"{text}\nNOT PUBLISHED: nobody is refused anything before: skillrepo publish",
        )
        return
    hidden_until = _old_timestamp_ends(desk)
    try:
        result = desk.publish(now=clock())
    except KeyAccessError as error:
        raise KeyAccessError(
            f"signed and kept, but NOT PUBLISHED: {error.message}",
            hint="nobody is refused anything before: skillrepo publish",
        ) from error
    if entry.id not in {item["id"] for item in result["withdrawals"]}:
        found = [item for item in result["blocked"] if item["subject"].startswith("revocations:")]
        why = found[0]["message"] if found else "something else is in the way"
        raise BlockedError(f"signed, but not published: {why}", hint="skillrepo status; skillrepo publish")
    console.answer(
        {
            **answer,
            "published": True,
            "timestamp_version": result["timestamp_version"],
            "hidden_until": hidden_until,
        },
        f"{text}\npublished: timestamp {result['timestamp_version']}. Clients see it the next time they look; a"
        f" mirror that holds the old state back can hide it until {hidden_until}, not longer.",
    )


def _online_key_is_here(desk: Desk) -> bool:
    """Return whether publishing can be tried: at a remote desk it always can, by asking the server."""
    if not isinstance(desk, LocalDesk):
        return True
    return (desk.repository.keys / f"{ONLINE}{KEY_SUFFIX}").exists()


def _old_timestamp_ends(desk: Desk) -> str:
    from tuf.api.metadata import Timestamp

    from repo_server.db.session import snapshot
    from repo_server.publishing.state import current
    from signing.metadata import parse
    from signing.roles import TIMESTAMP

    with snapshot(desk.repository.engine) as session:
        content = current(session, TIMESTAMP).content
    return render_moment(parse(content, Timestamp, where=TIMESTAMP).signed.expires)


def _render_withdrawal(draft: Draft, profiles: Sequence[str]) -> str:
    entry = draft.entry
    severity = f", severity {entry.severity.value}" if entry.severity is not None else ""
    lines = [f"{entry.state.value} {entry.scope}{severity}: {entry.reason}"]
    lines.append(f"  covers {len(draft.covered)} published release(s)")
    lines += [
        f"    {item.release.pin}\n      tree sha256 {item.release.tree_sha256}"
        for item in draft.covered[:_SHOWN]
    ]
    if len(draft.covered) > _SHOWN:
        lines.append(f"    … and {len(draft.covered) - _SHOWN} more")
    fate = "go on with it" if entry.state is Withdrawn.YANKED else "bear no agent any more"
    if profiles:
        lines.append(f"  profiles that pin it {fate}: {', '.join(profiles)}")
    return "\n".join(lines)


def _render_lifting(entry: Withdrawal, statement: Reinstatement) -> str:
    return (
        f"lift {entry.state.value} {entry.scope}\n"
        f"  withdrawn  {render_moment(entry.at)} by {entry.by}: {visible(entry.reason, keep='')}\n"
        f"  lifted     {render_moment(statement.at)} by {statement.by}: {visible(statement.reason, keep='')}\n"
        f"  withdrawal {entry.id}"
    )
