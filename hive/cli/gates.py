"""`hive gates`: what has to be proven before a paying customer's agent is active."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine

from hive.cli.context import clock, open_database, settings
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.documents import Documents, read_document
from hive.gates.register import Gates
from hive.gates.required import Proof, required_gates
from hive.gates.self_test import Duration, attack_containment, program_digest, render_report
from hive.gates.standing import MAX_WAIVER, Entry, Kind, Standing
from signing.console import Console, console_option
from signing.errors import FormatError, GateError
from signing.format.moment import render_moment


@click.group()
def gates() -> None:
    """What must be proven before the agent of a paying customer is active. There is no --force."""


def open_gates(config: HiveConfig) -> Gates:
    """Return the gates of this host.

    Raises:
        NotFoundError, FormatError: the host's own file of gates is missing or wrong.
    """
    return Gates(
        required=required_gates(Path(config.gates) if config.gates is not None else None),
        documents=Documents(config.state_dir / "documents"),
        program=program_digest(),
    )


@gates.command("list")
@click.option("--all", "everything", is_flag=True, help="Every entry of the register too.")
@console_option
@click.pass_context
def list_(ctx: click.Context, everything: bool, console: Console) -> None:
    """Show how every gate stands, and what shut ones need."""
    found, standings = _stand(ctx)
    with snapshot(_database(ctx)) as session:
        entries = found.entries(session) if everything else ()
    lines = [_line(standing) for standing in standings]
    lines += [_entry_line(entry) for entry in entries]
    document = {"gates": [standing.to_json() for standing in standings]}
    if everything:
        document["entries"] = [entry.to_json() for entry in entries]
    console.answer(document, "\n".join(lines))


@gates.command("check")
@console_option
@click.pass_context
def check(ctx: click.Context, console: Console) -> None:
    """End with 0 when a paying customer may be activated now, with 12 when not."""
    _, standings = _stand(ctx)
    shut = [standing for standing in standings if not standing.state.opens]
    if shut:
        raise GateError(
            "shut: " + ", ".join(f"{standing.gate.name} ({standing.state})" for standing in shut),
            hint="hive gates list says what each one needs",
            gates=[standing.gate.name for standing in shut],
        )
    console.answer(
        {"gates": [standing.to_json() for standing in standings]},
        "\n".join(["all gates are open", *(_line(found) for found in standings if found.state != "valid")]),
    )


@gates.command("register")
@click.argument("gate", metavar="GATE")
@click.option(
    "--document", "file", required=True, type=click.Path(path_type=Path), help="It is kept, by digest."
)
@click.option("--title", required=True, help="What the document is.")
@click.option("--approver", required=True, help="Who approved it.")
@click.option("--approved", required=True, metavar="YYYY-MM-DD", help="When.")
@click.option("--expires", required=True, metavar="YYYY-MM-DD", help="Until when (start of that day, UTC).")
@click.option("--location", default="", help="Where the original lies, for people.")
@click.option("--scope", default="", help="Whom or what it covers.")
@console_option
@click.pass_context
def register(
    ctx: click.Context,
    gate: str,
    file: Path,
    title: str,
    approver: str,
    approved: str,
    expires: str,
    location: str,
    scope: str,
    console: Console,
) -> None:
    """Register a dated document for GATE; it supersedes what was registered before."""
    now, found = clock(), open_gates(settings(ctx))
    entry = replace(
        Entry.blank(found.named(gate).name, Kind.EVIDENCE, approver=approver, now=now),
        title=title,
        location=location or str(file),
        scope=scope,
        approved_at=_day(approved, "--approved"),
        expires_at=_day(expires, "--expires"),
    )
    data = read_document(file)
    with transaction(_database(ctx, create=True)) as session:
        written = found.add_document(session, entry, data, now=now)
    console.answer(written.to_json(), f"{gate}: valid until {expires}\nsha256 {written.sha256}")


@gates.command("self-test")
@click.option("--approver", required=True, help="Who runs it.")
@click.option(
    "--jail-root-base",
    envvar="HIVE_JAIL_ROOT_BASE",
    help="Where jails stand: the test is made on that file system.",
)
@console_option
@click.pass_context
def self_test(ctx: click.Context, approver: str, jail_root_base: str | None, console: Console) -> None:
    """Let an attacker loose on this host's containment for some seconds, and register the outcome."""
    config = settings(ctx, jail_root_base=jail_root_base)
    found = open_gates(config)
    base = Path(config.need("jail_root_base", "--jail-root-base DIR or HIVE_JAIL_ROOT_BASE"))
    database = _database(ctx, create=True)
    console.note("an attacker swaps folders for links; at most 40 seconds")
    report = attack_containment(base, Duration())
    now = clock()
    written = []
    with transaction(database) as session:
        for gate in found.required:
            if gate.proof is Proof.SELF_TEST:
                entry = replace(
                    Entry.blank(gate.name, Kind.EVIDENCE, approver=approver, now=now),
                    title=f"self-test on {report['host']}",
                    location="this host",
                    subject=report["program_sha256"],
                    expires_at=now + gate.life,
                )
                written.append(found.add_self_test(session, entry, render_report(report), now=now))
    ours, naive = report["contained"], report["naive"]
    console.answer(
        {"report": report, "entries": [entry.to_json() for entry in written]},
        f"a naive installer lost after {naive['tries']} tries; ours: {ours['tries']} tries, {ours['written']} written, "
        f"{ours['refused']} refused, none outside\n"
        + "\n".join(f"{entry.gate}: valid until {render_moment(entry.expires_at)}" for entry in written),
    )


@gates.command("waive")
@click.argument("gate", metavar="GATE")
@click.option("--approver", required=True, help="Who answers for its absence.")
@click.option("--reason", required=True)
@click.option(
    "--expires", required=True, metavar="YYYY-MM-DD", help=f"At most {MAX_WAIVER.days} days from now."
)
@console_option
@click.pass_context
def waive(ctx: click.Context, gate: str, approver: str, reason: str, expires: str, console: Console) -> None:
    """Answer in writing for GATE being shut, for a limited time. It shows in every status."""
    now, found = clock(), open_gates(settings(ctx))
    entry = replace(
        Entry.blank(found.named(gate).name, Kind.WAIVER, approver=approver, now=now),
        title="waiver",
        reason=reason,
        expires_at=_day(expires, "--expires"),
    )
    with transaction(_database(ctx)) as session:
        written = found.waive(session, entry, now=now)
    console.answer(written.to_json(), f"{gate}: waived by {approver} until {expires}")


@gates.command("revoke")
@click.argument("number", type=int, metavar="NUMBER")
@click.option("--approver", required=True, help="Who takes it back.")
@click.option("--reason", required=True)
@console_option
@click.pass_context
def revoke(ctx: click.Context, number: int, approver: str, reason: str, console: Console) -> None:
    """Take back entry NUMBER of the register (hive gates list --all); it stays visible."""
    found = open_gates(settings(ctx))
    with transaction(_database(ctx)) as session:
        written = found.revoke(session, number, approver=approver, reason=reason, now=clock())
    console.answer(written.to_json(), f"taken back: entry {number} of {written.gate}")


def _stand(ctx: click.Context) -> tuple[Gates, tuple[Standing, ...]]:
    found = open_gates(settings(ctx))
    with snapshot(_database(ctx)) as session:
        return found, found.standings(session, clock())


def _database(ctx: click.Context, *, create: bool = False) -> Engine:
    return open_database(settings(ctx), create=create)


def _line(standing: Standing) -> str:
    entry = standing.entry
    mark = "open" if standing.state.opens else "SHUT"
    said = standing.gate.title
    if entry is not None:
        said = f"{entry.title}, by {entry.approver}, until {entry.expires_at:%Y-%m-%d}"
        said += f": {entry.reason}" if entry.reason else ""
    return f"{mark}  {standing.gate.name:22} {standing.state:9} {said}"


def _entry_line(entry: Entry) -> str:
    taken = f" of {entry.revokes}" if entry.revokes is not None else ""
    return (
        f"{entry.number:4}  {entry.kind}{taken:5}  {entry.gate:22} {entry.approved_at:%Y-%m-%d} to "
        f"{entry.expires_at:%Y-%m-%d}  {entry.approver}  {entry.title}  {entry.reason}"
    )


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError("not a day like 2027-01-31", where=option) from error
