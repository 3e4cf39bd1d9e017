"""`hive submit` and `hive jobs`."""

import getpass
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from hive.agents import jobs as book
from hive.agents.jobs import NewJob
from hive.agents.names import parse_capability, parse_job_id, parse_kind
from hive.agents.rules import MAX_PAYLOAD
from hive.agents.states import JobState
from hive.agents.wire import parse_strict
from hive.cli.context import clock, open_database, settings
from hive.db.agent_tables import JobRow
from hive.db.session import transaction
from signing.console import Console, console_option
from signing.errors import FormatError, NotFoundError
from signing.format.names import parse_tenant_id


@click.command()
@click.option("--kind", required=True, help="What sort of work, such as render.")
@click.option("--need", "needs", multiple=True, required=True, help="A capability it needs; repeatable.")
@click.option("--tenant", help="Whose job it is; without, the host's own.")
@click.option("--payload", "file", metavar="FILE", help="JSON for whoever does it; - is stdin.")
@click.option("--priority", default=0, show_default=True, type=click.IntRange(-9, 9))
@click.option("--attempts", default=3, show_default=True, type=click.IntRange(1, 20))
@click.option(
    "--lease", default=60.0, show_default=True, help="Seconds that an agent may be silent about it."
)
@console_option
@click.pass_context
def submit(
    ctx: click.Context,
    kind: str,
    needs: tuple[str, ...],
    tenant: str | None,
    file: str | None,
    priority: int,
    attempts: int,
    lease: float,
    console: Console,
) -> None:
    """Submit a job. It goes to a living agent that has every capability that it needs."""
    job = NewJob(
        kind=parse_kind(kind, where="--kind"),
        needs=frozenset(parse_capability(one, "--need") for one in needs),
        payload=_payload(file),
        priority=priority,
        max_attempts=attempts,
        lease_seconds=lease,
    )
    tenant_id = parse_tenant_id(tenant, where="--tenant") if tenant is not None else None
    with transaction(open_database(settings(ctx))) as session:
        job_id = book.submit(session, job, tenant_id=tenant_id, by=operator(), now=clock())
    console.answer({"job": job_id}, f"submitted {job_id}\nnext: hive jobs show {job_id}")


@click.group(invoke_without_command=True)
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in JobState]))
@click.option("--tenant", help="Only this tenant's.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@console_option
@click.pass_context
def jobs(
    ctx: click.Context, states: tuple[str, ...], tenant: str | None, limit: int, console: Console
) -> None:
    """List jobs, the newest last; show, cancel, approve or retry one. Dead letters: --state dead."""
    if ctx.invoked_subcommand is not None:
        return
    tenant_id = parse_tenant_id(tenant, where="--tenant") if tenant is not None else None
    with transaction(open_database(settings(ctx))) as session:
        rows = book.list_jobs(
            session, states=[JobState(state) for state in states], tenant_id=tenant_id, limit=limit
        )
        found = [_summary(session, row) for row in rows]
    lines = [
        f"{job['id']}  {job['state']:9}  {job['tenant'] or '-':15}  {job['kind']}  {job['reason']}".rstrip()
        for job in found
    ]
    console.answer({"jobs": found}, "\n".join(lines) or "none")


@jobs.command()
@click.argument("job_id", metavar="JOB")
@console_option
@click.pass_context
def show(ctx: click.Context, job_id: str, console: Console) -> None:
    """Show JOB with its attempts and its result."""
    with transaction(open_database(settings(ctx))) as session:
        row = book.load(session, parse_job_id(job_id))
        facts = {**_summary(session, row), **book.describe(session, row)}
        attempts = [
            {
                "fence": attempt.fence,
                "agent": attempt.agent_id,
                "outcome": attempt.outcome,
                "reason": attempt.reason,
            }
            for attempt in book.attempts_of(session, row)
        ]
    lines = [f"{key:14} {'-' if value in (None, '') else value}" for key, value in facts.items()]
    lines += [
        f"{'attempt':14} {one['fence']} by {one['agent']}: {one['outcome'] or 'running'} {one['reason']}".rstrip()
        for one in attempts
    ]
    console.answer({**facts, "history": attempts}, "\n".join(lines))


@jobs.command()
@click.argument("job_id", metavar="JOB")
@console_option
@click.pass_context
def cancel(ctx: click.Context, job_id: str, console: Console) -> None:
    """End JOB; whoever works on it learns so by its next heartbeat."""
    with transaction(open_database(settings(ctx))) as session:
        book.cancel(session, book.load(session, parse_job_id(job_id)), by=operator(), now=clock())
    console.answer({"job": job_id, "state": JobState.CANCELLED.value}, f"cancelled {job_id}")


@jobs.command()
@click.argument("job_id", metavar="JOB")
@click.option("--by", help="Who answers for it; default: this user.")
@console_option
@click.pass_context
def approve(ctx: click.Context, job_id: str, by: str | None, console: Console) -> None:
    """Let JOB, a birth that an agent asked for, go to a host."""
    who = by if by is not None else operator()
    with transaction(open_database(settings(ctx))) as session:
        book.approve(session, book.load(session, parse_job_id(job_id)), by=who, now=clock())
    console.answer({"job": job_id, "approved_by": who}, f"{job_id} is approved by {who}")


@jobs.command()
@click.argument("job_id", metavar="JOB")
@console_option
@click.pass_context
def retry(ctx: click.Context, job_id: str, console: Console) -> None:
    """Begin a dead or cancelled JOB anew."""
    with transaction(open_database(settings(ctx))) as session:
        row = book.load(session, parse_job_id(job_id))
        book.retry(session, row, by=operator(), now=clock())
        state = row.state
    console.answer({"job": job_id, "state": state}, f"{job_id} is {state} again")


def _summary(session: Session, row: JobRow) -> dict[str, Any]:
    return {
        "id": row.job_id,
        "tenant": row.tenant_id,
        "kind": row.kind,
        "needs": book.needs_of(session, row),
        "state": row.state,
        "reason": row.reason,
        "priority": row.priority,
        "attempts": row.attempts,
        "agent": row.owner,
        "submitted_by": row.submitted_by,
    }


def _payload(file: str | None) -> Any:
    if file is None:
        return {}
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_PAYLOAD + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(MAX_PAYLOAD + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {file}: {error.strerror}") from error
    if len(data) > MAX_PAYLOAD:
        raise FormatError(f"larger than {MAX_PAYLOAD} bytes", where="--payload")
    return parse_strict(data, where="--payload")


def operator() -> str:
    """Return who gives this command, as the system calls them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        return "unknown"
