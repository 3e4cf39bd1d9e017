"""`hive status`: how everything stands, on one screen."""

from collections import Counter
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hive import audit, overview, policy_memory
from hive.checkpoints import verify_log
from hive.cli.context import clock, open_database, settings
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot
from hive.db.sweep_tables import SweepFindingRow, SweepRow
from hive.gates.standing import Standing
from hive.overview import Failed, Noted, Trouble
from hive.policy import Policy
from hive.policy_loading import RENEW, load_remembered, this_host
from hive.sweep import failures
from hive.tenants import TenantStatus, list_all
from signing.console import Console, console_option
from signing.errors import SkillRepoError
from signing.format.moment import render_moment


@click.command()
@console_option
@click.pass_context
def status(ctx: click.Context, console: Console) -> None:
    """Show tenants, what the last sweep found, gates, policy and log; what wants attention comes first."""
    config, now = settings(ctx), clock()
    engine = open_database(config)
    policy, wrong = _policy(config, engine, now)
    standings, shut = _gates(config, engine, now)
    with snapshot(engine) as session:
        tenants = list_all(session)
        findings = _findings(session)
        begun, last = _sweeps(session, config.host_name)
        log, broken = _log(session, config)
        troubles = [
            *broken,
            *overview.of_sweeps(last.finished_at if last is not None else None, begun, now),
            *overview.of_failures(_failures(session)),
            *overview.of_findings(findings),
            *overview.of_tenants(tenants),
            *overview.of_births(*_births(session), now),
            *shut,
            *([Trouble(about="policy", says=wrong)] if wrong else []),
        ]
    counts = Counter(tenant.status.value for tenant in tenants)
    opened = sum(found.state.opens for found in standings)
    document = {
        "tenants": dict(counts),
        "findings": [_document(item) for item in findings],
        "last_sweep": render_moment(last.finished_at) if last is not None and last.finished_at else None,
        "gates": [found.to_json() for found in standings],
        "policy_sha256": policy.sha256 if policy is not None else None,
        "audit": log,
        "attention": [str(trouble) for trouble in troubles],
    }
    lines = _screen(troubles) if troubles else ["all is well"]
    lines += [
        "",
        f"tenants   {', '.join(f'{number} {state}' for state, number in sorted(counts.items())) or 'none'}",
        f"sweep     {_said_of_sweep(last, now)}",
        f"gates     {opened} of {len(standings)} open",
        f"policy    {_said_of(policy)}",
        f"audit     {log['records']} records, " + ("chain intact" if not broken else "NOT INTACT"),
    ]
    console.answer(document, "\n".join(lines))


def _screen(troubles: list[Trouble]) -> list[str]:
    """Return the troubles, each with what to do next below it."""
    lines = [f"NEEDS ATTENTION ({len(troubles)})"]
    for trouble in troubles:
        lines.append(f"  {trouble.about}: {trouble.says}")
        lines += [f"      → {trouble.next}"] if trouble.next else []
    return lines


def _gates(config: HiveConfig, engine: Engine, now: datetime) -> tuple[tuple[Standing, ...], list[Trouble]]:
    try:
        gates = open_gates(config)
        with snapshot(engine) as session:
            standings = gates.standings(session, now)
    except SkillRepoError as error:
        return (), [Trouble(about="gates", says=f"cannot be read: {error}", next=error.hint or "hive doctor")]
    return standings, overview.of_gates(standings, now)


def _log(session: Session, config: HiveConfig) -> tuple[dict[str, Any], list[Trouble]]:
    """Return where the log ends, and what is wrong with it: then the screen is needed most."""
    head = audit.head(session)
    document = {"records": head.sequence, "head": head.digest}
    try:
        verify_log(session, config.state_dir)
    except SkillRepoError as error:
        return document, [Trouble(about="audit log", says=str(error), next=error.hint or "hive audit verify")]
    return document, []


def _births(session: Session) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Return since when a birth is unfinished, and since when somebody is born and was never heard, by tenant."""
    rows = session.execute(
        select(
            TenantRow.tenant_id, TenantRow.status, TenantRow.reason, BirthRow.started_at, BirthRow.finished_at
        )
        .join(BirthRow, BirthRow.tenant_id == TenantRow.tenant_id)
        .order_by(TenantRow.tenant_id)
    ).all()
    unfinished = {row.tenant_id: row.started_at for row in rows if row.status == TenantStatus.BIRTHING}
    unheard = {
        row.tenant_id: row.finished_at
        for row in rows
        if row.status == TenantStatus.BORN and not row.reason and row.finished_at is not None
    }
    return unfinished, unheard


def _failures(session: Session) -> list[Failed]:
    return [
        Failed(
            tenant=row.tenant_id,
            action=row.action,
            problem=row.problem,
            tries=row.tries,
            again_at=row.again_at,
        )
        for row in failures.standing(session)
    ]


def _policy(config: HiveConfig, engine: Engine, now: datetime) -> tuple[Policy | None, str]:
    """Return the policy, and what is to be done about it; a screen about everything does not end for one file."""
    try:
        policy = load_remembered(config, engine=engine, now=now).policy
    except SkillRepoError as error:
        return None, f"the policy does not hold, and nothing is born: {error}"
    with snapshot(engine) as session:
        signed = policy_memory.load(session, this_host())
    if signed is not None and signed.demanded and signed.expires_at - now < RENEW:
        return policy, f"the policy has to be signed again before {signed.expires_at:%Y-%m-%d}"
    return policy, ""


def _said_of(policy: Policy | None) -> str:
    if policy is None:
        return "none that holds"
    engines = f", engines {', '.join(policy.engines)}" if policy.engines else ""
    return f"{policy.sha256[:16]}  {policy.reviewers} reviewers{engines}"


def _findings(session: Session) -> list[Noted]:
    rows = session.scalars(
        select(SweepFindingRow)
        .where(SweepFindingRow.gone_at.is_(None))
        .order_by(SweepFindingRow.tenant_id, SweepFindingRow.number)
    )
    return [
        Noted(
            tenant=row.tenant_id,
            kind=row.kind,
            subject=row.subject,
            detail=row.detail,
            since=row.first_seen,
            seen=row.last_seen,
        )
        for row in rows
    ]


def _document(item: Noted) -> dict[str, Any]:
    return {
        "tenant": item.tenant,
        "kind": item.kind,
        "subject": item.subject,
        "detail": item.detail,
        "since": render_moment(item.since),
        "seen": render_moment(item.seen),
    }


def _sweeps(session: Session, here: str | None) -> tuple[datetime | None, SweepRow | None]:
    """Return when the newest sweep of this host began, if it did not end, and the last one that did."""
    ours = select(SweepRow).where(SweepRow.host == here).order_by(SweepRow.number.desc()).limit(1)
    newest = session.scalars(ours).first()
    last = session.scalars(ours.where(SweepRow.finished_at.is_not(None))).first()
    begun = newest.started_at if newest is not None and newest.finished_at is None else None
    return begun, last


def _said_of_sweep(last: SweepRow | None, now: datetime) -> str:
    if last is None or last.finished_at is None:
        return "never"
    minutes = int((now - last.finished_at).total_seconds()) // 60
    return f"{minutes} minutes ago: {last.tenants} jails, {last.findings} findings"
