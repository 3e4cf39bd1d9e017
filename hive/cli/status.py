"""`hive status`: how everything stands, on one screen."""

from collections import Counter
from datetime import datetime
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.cli.context import clock, open_database, settings
from hive.cli.gates import open_gates
from hive.db.session import snapshot
from hive.db.sweep_tables import SweepFindingRow, SweepRow
from hive.gates.standing import State
from hive.policy_file import load_policy
from hive.tenants import TenantStatus, list_all
from signing.console import Console, console_option
from signing.format.moment import render_moment


@click.command()
@console_option
@click.pass_context
def status(ctx: click.Context, console: Console) -> None:
    """Show tenants, what the last sweep found, gates, policy and log; what wants attention comes first."""
    config, now = settings(ctx), clock()
    policy = load_policy(config.policy_path).policy
    with snapshot(open_database(config)) as session:
        tenants = list_all(session)
        findings = _findings(session)
        last = _last_sweep(session, now)
        standings = open_gates(config).standings(session, now)
        head = audit.check(session)
    counts = Counter(tenant.status.value for tenant in tenants)
    shut = [found for found in standings if not found.state.opens]
    waived = [found for found in standings if found.state is State.WAIVED]
    attention = [f"{item['tenant']}: {item['kind']} {item['subject']}: {item['detail']}" for item in findings]
    attention += [
        f"{tenant.tenant_id}: {tenant.status}: {tenant.reason}"
        for tenant in tenants
        if tenant.status in {TenantStatus.FAILED, TenantStatus.QUARANTINED}
    ]
    attention += [
        f"gate {found.gate.name} is {found.state}: no paying customer is activated" for found in shut
    ]
    attention += [
        f"gate {found.gate.name} is waived by {found.entry.approver} until {found.entry.expires_at:%Y-%m-%d}"
        for found in waived
        if found.entry is not None
    ]
    attention += [last["says"]] if last["attention"] else []
    document = {
        "tenants": dict(counts),
        "findings": findings,
        "last_sweep": last["at"],
        "gates": [found.to_json() for found in standings],
        "policy_sha256": policy.sha256,
        "audit": {"records": head.sequence, "head": head.digest},
        "attention": attention,
    }
    lines = ["NEEDS ATTENTION", *(f"  {line}" for line in attention)] if attention else ["all is well"]
    lines += [
        "",
        f"tenants   {', '.join(f'{number} {state}' for state, number in sorted(counts.items())) or 'none'}",
        f"sweep     {last['says']}",
        f"gates     {len(standings) - len(shut)} of {len(standings)} open",
        f"policy    {policy.sha256[:16]}  {policy.reviewers} reviewers"
        + (f", engines {', '.join(policy.engines)}" if policy.engines else ""),
        f"audit     {head.sequence} records, chain intact",
    ]
    console.answer(document, "\n".join(lines))


def _findings(session: Session) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(SweepFindingRow)
        .where(SweepFindingRow.gone_at.is_(None))
        .order_by(SweepFindingRow.tenant_id, SweepFindingRow.number)
    )
    return [
        {
            "tenant": row.tenant_id,
            "kind": row.kind,
            "subject": row.subject,
            "detail": row.detail,
            "since": render_moment(row.first_seen),
        }
        for row in rows
    ]


def _last_sweep(session: Session, now: datetime) -> dict[str, Any]:
    row = session.scalars(
        select(SweepRow).where(SweepRow.finished_at.is_not(None)).order_by(SweepRow.number.desc()).limit(1)
    ).first()
    if row is None or row.finished_at is None:
        return {"at": None, "attention": True, "says": "never swept: hive sweep --every 5m"}
    minutes = int((now - row.finished_at).total_seconds()) // 60
    says = f"{minutes} minutes ago: {row.tenants} jails, {row.findings} findings"
    return {"at": render_moment(row.finished_at), "attention": minutes > 60, "says": says}  # noqa: PLR2004
