"""Numbers for Prometheus, on a port of their own (edge): no tenant's name unless it is asked for, and never a secret.

They are counted when they are asked for, from the database, so several processes need not agree.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hive.agents.rules import Rules
from hive.agents.standing import Standing, clock, is_alive
from hive.agents.states import JobState
from hive.db.agent_tables import AgentRow, AttemptRow, JobRow
from hive.db.instant import Instant
from hive.db.session import snapshot
from signing.errors import HostError, SkillRepoError

_log: Final = logging.getLogger(__name__)
_HOST: Final = ""  # the tenant of the host's own jobs


def serve_metrics(engine: Engine, rules: Rules, *, host: str, port: int, names: bool) -> None:
    """Answer ``/metrics`` on a loopback address, in a thread of its own.

    Raises:
        HostError: prometheus-client is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise HostError(
            "prometheus-client is not installed", hint="pip install 'clawdie-skillrepo[hive]'"
        ) from error
    registry = CollectorRegistry()
    registry.register(Collector(engine, rules, names=names))
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise HostError(f"cannot listen on {host}:{port} ({error.strerror})") from error


class Collector:
    """What is counted; prometheus-client's interface."""

    def __init__(self, engine: Engine, rules: Rules, *, names: bool) -> None:
        self._engine, self._rules, self._names = engine, rules, names

    def collect(self) -> Iterator[Any]:
        """Yield the families of numbers as they are now."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        up = GaugeMetricFamily(
            "hive_database_up", "Whether the database answers; if not, nothing else is told."
        )
        try:
            with snapshot(self._engine) as session:
                jobs, agents = self._jobs(session), self._agents(session)
                outcomes, oldest = self._outcomes(session), self._oldest(session)
        except (SkillRepoError, SQLAlchemyError) as error:
            _log.warning("cannot count: %s", type(error).__name__)
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        labels = ["state", "tenant"] if self._names else ["state"]
        family = GaugeMetricFamily("hive_jobs", "Jobs by state.", labels=labels)
        for key, count in jobs.items():
            family.add_metric(list(key), count)
        yield family
        family = GaugeMetricFamily("hive_agents", "Agents by standing.", labels=["standing"])
        for standing, count in agents.items():
            family.add_metric([standing], count)
        yield family
        family = GaugeMetricFamily("hive_attempts", "Attempts at jobs by outcome.", labels=["outcome"])
        for outcome, count in outcomes.items():
            family.add_metric([outcome], count)
        yield family
        yield GaugeMetricFamily(
            "hive_oldest_ready_seconds", "How long the oldest ready job has waited.", value=oldest
        )

    def _jobs(self, session: Session) -> dict[tuple[str, ...], int]:
        if self._names:
            rows = session.execute(
                select(JobRow.state, JobRow.tenant_id, func.count()).group_by(JobRow.state, JobRow.tenant_id)
            )
            return {(state, tenant or _HOST): count for state, tenant, count in rows}
        found: dict[tuple[str, ...], int] = {(state.value,): 0 for state in JobState}
        for state, count in session.execute(select(JobRow.state, func.count()).group_by(JobRow.state)):
            found[state,] = count
        return found

    def _agents(self, session: Session) -> dict[str, int]:
        now = clock(session)
        found = dict.fromkeys(
            ("alive", "silent", *(s.value for s in Standing if s is not Standing.ADMITTED)), 0
        )
        for row in session.scalars(select(AgentRow)):
            alive = row.seen_at is not None and is_alive(row.seen_at, now, self._rules)
            living = "alive" if alive else "silent"
            found[living if row.standing == Standing.ADMITTED else row.standing] += 1
        return found

    @staticmethod
    def _outcomes(session: Session) -> dict[str, int]:
        rows = session.execute(select(AttemptRow.outcome, func.count()).group_by(AttemptRow.outcome))
        return {outcome or "running": count for outcome, count in rows}

    @staticmethod
    def _oldest(session: Session) -> float:
        waited = select(func.max(Instant() - JobRow.submitted_at)).where(
            JobRow.state == JobState.READY, JobRow.not_before <= Instant()
        )
        return float(session.scalars(waited).one() or 0.0)
