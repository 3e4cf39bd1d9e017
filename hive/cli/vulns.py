"""`hive audit vulns`: which births are affected by what is known by now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from hive import audit, trust
from hive.birth.recorded import RecordedBirth, recorded_births
from hive.cli.context import clock, open_client, open_database, settings
from hive.db.session import transaction
from hive.vulnerabilities import BirthExam, Known, affects, examine
from repo_client.client import RepoClient, Session
from signing.console import Console, console_option
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    UsageError,
    VulnerableError,
)
from signing.format.digest import sha256_of
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.pkg.vuxml import MAX_FEED_BYTES, parse_vuxml


@click.command("vulns")
@click.option(
    "--feed",
    "feed_file",
    type=click.Path(path_type=Path),
    help="Another VuXML file, held against births besides the signed list; what only it says is marked unsigned.",
)
@console_option
@click.pass_context
def vulns(ctx: click.Context, feed_file: Path | None, console: Console) -> None:
    """Say which births hold packages that are known to be vulnerable, or were withdrawn, by now.

    Ends with 0 when nothing is open, with 12 when something is, with 11 when a birth could not be checked.
    """
    feed = _read(feed_file) if feed_file is not None else None
    config = settings(ctx)
    engine, client = open_database(config), open_client(config)
    births = _births(engine, client)
    now = clock()
    with client.session(now) as session:
        known = Known(
            advisories=session.advisories(),
            revocations=session.revocations(),
            feed=parse_vuxml(feed) if feed is not None else None,
        )
        waivers = _waivers(session, births, known)
        standing = session.standing()
    with transaction(engine) as database:
        if trust.load(database) is not None:  # the first birth pins the anchor, not somebody who looks
            trust.remember(database, standing)
    exams = [_exam(birth, known, waivers, now) for birth in births]
    document = _document(exams, known, feed, now)
    text = "\n".join(_lines(exams, known, feed)) or "nobody was born here"
    refusal = _refusal(exams, document)
    if refusal is None:
        console.answer(document, text)
        return
    if not console.as_json:
        console.answer({}, text)
    raise refusal


def _births(engine: Engine, client: RepoClient) -> list[RecordedBirth]:
    with transaction(engine) as session:
        audit.check_clock(session, now=clock())
        trust.check_anchor(session, client.anchor_sha256)
        return recorded_births(session)


_Waivers = Mapping[Pin, Sequence[VulnerabilityWaiver] | SkillRepoError]


def _waivers(session: Session, births: Sequence[RecordedBirth], known: Known) -> _Waivers:
    """Return the waivers of each profile that needs any; or why they cannot be read: then nothing is waived."""
    found: dict[Pin, Sequence[VulnerabilityWaiver] | SkillRepoError] = {}
    for birth in births:
        pin = birth.tenant.profile
        if pin not in found and affects(birth, known):
            try:
                found[pin] = session.profile(pin).profile.waivers
            except (RejectedError, NotFoundError) as error:
                found[pin] = error
    return found


def _exam(birth: RecordedBirth, known: Known, waivers: _Waivers, now: datetime) -> BirthExam:
    given = waivers.get(birth.tenant.profile, ())
    if isinstance(given, SkillRepoError):
        problem = f"the waivers of {birth.tenant.profile} cannot be read: {given}"
        return examine(birth, known, (), now=now, problem=problem)
    return examine(birth, known, given, now=now)


def _document(exams: Sequence[BirthExam], known: Known, feed: bytes | None, now: datetime) -> dict[str, Any]:
    target = known.advisories.target
    return {
        "checked_at": render_moment(now.replace(microsecond=0)),
        "advisories": {
            "sha256": target.sha256,
            "role_version": target.role_version,
            "signed_by": list(target.signers),
            "entries": len(known.advisories.advisories.entries),
        },
        "feed": {"sha256": sha256_of(feed), "signed": False} if feed is not None else None,
        "births": [exam.to_json() for exam in exams],
        "open": sum(exam.open for exam in exams),
        "not_checked": [exam.birth.tenant.tenant_id for exam in exams if exam.problem],
    }


class _OpenError(VulnerableError):
    """Something is open; the whole report goes into ``--json``."""

    def to_document(self) -> dict[str, Any]:
        """Return the error with the report beside it, as an object and not as text."""
        return _with_report(self)


class _NotCheckedError(CouldNotVerifyError):
    """A birth could not be checked; the whole report goes into ``--json``."""

    def to_document(self) -> dict[str, Any]:
        """Return the error with the report beside it, as an object and not as text."""
        return _with_report(self)


def _with_report(error: SkillRepoError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": str(error),
        "hint": error.hint,
        "report": error.facts["report"],
    }


def _refusal(exams: Sequence[BirthExam], document: dict[str, Any]) -> SkillRepoError | None:
    problems = [f"{exam.birth.tenant.tenant_id}: {exam.problem}" for exam in exams if exam.problem]
    missed = f"; and {len(problems)} birth(s) could not be checked" if problems else ""
    affected = [exam.birth.tenant.tenant_id for exam in exams if exam.open]
    if affected:
        return _OpenError(
            f"{document['open']} open, in: {', '.join(affected)}{missed}",
            hint="pin packages that are not affected in a new version of the profile; or waive it there",
            report=document,
        )
    if problems:
        return _NotCheckedError(
            f"{len(problems)} birth(s) could not be checked, first: {problems[0]}",
            hint="compare the database with a backup; until then nobody knows what these jails hold",
            report=document,
        )
    return None


def _lines(exams: Sequence[BirthExam], known: Known, feed: bytes | None) -> list[str]:
    target = known.advisories.target
    entries = len(known.advisories.advisories.entries)
    lines = [f"{entries} advisories, version {target.role_version}, signed by {', '.join(target.signers)}"]
    if feed is not None:
        lines.append(f"and a feed that nobody signed, sha256 {sha256_of(feed)[:16]}…")
    for exam in exams:
        lines += _birth_lines(exam)
    return lines if exams else []


def _birth_lines(exam: BirthExam) -> list[str]:
    tenant, count = exam.birth.tenant, len(exam.birth.packages)
    how_many = f"{count} package(s)" if count else "no package was recorded at this birth"
    if not exam.birth.begun:
        how_many = "nothing of a birth is left"
    lines = [f"{tenant.tenant_id} ({tenant.status.value}, {tenant.profile}): {how_many}"]
    if exam.problem:
        lines.append(f"  NOT CHECKED: {exam.problem}")
    for item in exam.affected:
        vid = _line(", ".join([item.advisory.vid, *item.advisory.cves]))
        unsigned = "" if item.signed else "  (unsigned feed)"
        lines.append(f"  {item.package.pin}  {_line(item.advisory.topic)} ({vid}){unsigned}")
        lines.append(f"      {_waived(item.waiver, ended=item.open)}")
    for withheld in exam.withdrawn:
        entry = withheld.entry
        mark = "OPEN: " if withheld.open else ""
        since = f"{entry.state.value} by {entry.by} since {render_moment(entry.at)}: {_line(entry.reason)}"
        lines += [f"  {withheld.package.pin}", f"      {mark}{since}"]
    return lines


def _waived(waiver: VulnerabilityWaiver | None, *, ended: bool) -> str:
    if waiver is None:
        return "OPEN"
    until = render_moment(waiver.expires_at)
    if ended:
        return f"OPEN: {_line(waiver.owner)} waived it until {until}, which has passed"
    return f"waived by {_line(waiver.owner)} until {until}: {_line(waiver.reason)}"


def _line(text: str) -> str:
    """Return ``text`` on one line: words of others make no lines of their own."""
    return " ".join(text.split())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FEED_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_FEED_BYTES:
        raise FormatError(f"larger than {MAX_FEED_BYTES} bytes", where=str(path))
    return data
