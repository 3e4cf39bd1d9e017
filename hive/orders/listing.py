"""Orders as an operator sees them; nothing is changed."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.agents.jobs import attempts_of, needs_of
from hive.agents.names import JobId
from hive.agents.states import OPEN
from hive.db.agent_tables import JobRow
from hive.db.order_tables import BirthOrderRow
from signing.errors import NotFoundError


def list_orders(session: Session, *, only_open: bool, limit: int) -> list[dict[str, Any]]:
    """Return the newest orders, the newest last."""
    wanted = select(JobRow, BirthOrderRow).join(BirthOrderRow, BirthOrderRow.number == JobRow.number)
    if only_open:
        wanted = wanted.where(JobRow.state.in_([item.value for item in OPEN]))
    rows = session.execute(wanted.order_by(JobRow.number.desc()).limit(limit)).all()
    return [_describe(session, job, order) for job, order in reversed(rows)]


def show_order(session: Session, job_id: JobId) -> dict[str, Any]:
    """Return an order with its tries.

    Raises:
        NotFoundError: there is none.
    """
    job, order = _load(session, job_id)
    tries = [
        {"fence": item.fence, "host": item.agent_id, "outcome": item.outcome, "reason": item.reason}
        for item in attempts_of(session, job)
    ]
    return {**_describe(session, job, order), "by": job.submitted_by, "tries": tries}


def check_is_order(session: Session, job_id: JobId) -> None:
    """Return None when there is such an order.

    Raises:
        NotFoundError: there is none; a job may have that name.
    """
    _load(session, job_id)


def _load(session: Session, job_id: JobId) -> tuple[JobRow, BirthOrderRow]:
    wanted = select(JobRow, BirthOrderRow).join(BirthOrderRow, BirthOrderRow.number == JobRow.number)
    found = session.execute(wanted.where(JobRow.job_id == job_id)).first()
    if found is None:
        raise NotFoundError(f"no order {job_id}", hint="hive orders lists them")
    return found[0], found[1]


def _describe(session: Session, job: JobRow, order: BirthOrderRow) -> dict[str, Any]:
    return {
        "order": job.job_id,
        "tenant_id": order.tenant_id,
        "state": job.state,
        "host": job.owner,
        "needs": needs_of(session, job),
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "reason": job.reason,
    }
