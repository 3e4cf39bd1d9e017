"""`hive audit`."""

import json
from typing import Any

import click
from sqlalchemy.orm import Session

from hive import audit as records
from hive.cli.context import open_database, settings
from hive.cli.vulns import vulns
from hive.db.session import transaction
from hive.tenants import TenantStatus, list_all
from signing.console import Console, console_option
from signing.format.chain import BrokenChainError, Record
from signing.format.digest import parse_sha256
from signing.format.moment import render_moment


@click.group()
def audit() -> None:
    """Who let what into which jail, and on what evidence."""


audit.add_command(vulns)


@audit.command("verify")
@click.option("--head", help="The digest noted earlier: it must still be in the chain.")
@console_option
@click.pass_context
def verify(ctx: click.Context, head: str | None, console: Console) -> None:
    """Check the hash chain and print its head. Note the head elsewhere: a chain cannot prove its own end."""
    expected = parse_sha256(head, where="--head") if head is not None else None
    with transaction(open_database(settings(ctx))) as session:
        found = records.check(session)
        written = records.read(session)
        _check_complete(session, written)
    digests = {record.head.digest for record in written}
    if expected is not None and expected not in digests:
        raise BrokenChainError(
            "the noted head is not in the chain", hint="records were cut off; compare with a backup"
        )
    console.answer(
        {"records": found.sequence, "head": found.digest},
        f"{found.sequence} records, chain intact\nhead {found.digest}",
    )


def _check_complete(session: Session, written: list[Record]) -> None:
    """Raise BrokenChainError when the registry knows of something that the log does not: its end was cut off."""
    said = {(record.event, record.facts.get("tenant")) for record in written}
    for tenant in list_all(session):
        events = ["tenant.registered", *(["birth.active"] if tenant.status is TenantStatus.ACTIVE else [])]
        for event in events:
            if (event, tenant.tenant_id) not in said:
                raise BrokenChainError(
                    f"the log has no {event} of {tenant.tenant_id}",
                    hint="records were cut off; compare with a backup",
                )


@audit.command("show")
@click.option("--tenant", help="Only what is about this tenant.")
@console_option
@click.pass_context
def show(ctx: click.Context, tenant: str | None, console: Console) -> None:
    """Show the records, oldest first."""
    with transaction(open_database(settings(ctx))) as session:
        found = records.read(session, tenant=tenant)
    console.answer(
        {"records": [_document(record) for record in found]},
        "\n".join(_line(record) for record in found) or "none",
    )


def _document(record: Record) -> dict[str, Any]:
    return {
        "sequence": record.sequence,
        "time": render_moment(record.time),
        "event": record.event,
        "facts": record.facts,
    }


def _line(record: Record) -> str:
    facts = record.facts
    what = ""
    if record.event == "admission":
        way = (
            facts.get("risk")
            or f"{facts.get('role')} v{facts.get('role_version')} signed by {_names(facts, 'signed_by')}"
        )
        tree = facts.get("tree_sha256")
        digest = f"tree {tree[:12]}" if tree is not None else f"sha256 {facts['sha256'][:12]}"
        what = f"{facts['pin']} ({facts['kind']})  {digest}  {way}"
    elif "error" in facts:
        what = f"{facts['error']['code']}: {facts['error']['message']}"
    else:
        what = " ".join(f"{key}={json.dumps(value)}" for key, value in facts.items() if key != "tenant")
    return f"{record.sequence:5}  {render_moment(record.time)}  {facts.get('tenant', '-'):15} {record.event:18} {what}"


def _names(facts: dict[str, Any], key: str) -> str:
    return ", ".join(str(name) for name in facts.get(key, []))
