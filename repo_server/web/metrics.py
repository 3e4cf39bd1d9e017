"""Numbers for Prometheus, on a port of their own (edge): no names of people or tokens, no addresses of clients, no secret.

    skillrepo_role_expires_seconds{role="timestamp"}   what is left of each role; of the hash bins, the one that ends first
    skillrepo_published_timestamp_expires_seconds      the same, of the file that clients are given
    skillrepo_candidates{state="staged"}, skillrepo_releases{state="published"}, skillrepo_proposals_open
    skillrepo_withdrawals{state="revoked"}
    skillrepo_package_serial{repository="…"}, skillrepo_package_age_seconds{repository="…"}
    skillrepo_requests_total{part="files",code="2xx"}

What a repository holds is counted when it is asked for, from its database. Requests are counted by the processes that
answer them, in small files of prometheus-client's own; a process beside them adds them up, so that a scrape
never waits for a slow client, and no thread stands where workers are forked from.
"""

import multiprocessing
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from repo_server.db.models import CandidateRow, CandidateState, ReleaseRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo.published import newest_serials
from repo_server.publishing.overview import all_roles
from repo_server.publishing.proposals import open_proposals
from repo_server.publishing.withdrawals import published_list
from repo_server.repository import Repository
from repo_server.web.counting import VARIABLE
from repo_server.web.health import published_expiry
from signing.errors import HostError, UsageError
from signing.format.withdrawal import Withdrawn
from signing.roles import is_bin

_START_SECONDS: Final = 30.0
_MAX_PORT: Final = 65535
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:PORT`` or ``[::1]:PORT``.

    Raises:
        UsageError: it is none, or reaches beyond this machine.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or host not in {"127.0.0.1", "::1"} or not _PORT.fullmatch(port):
        raise UsageError("--metrics takes 127.0.0.1:PORT", hint="a proxy decides who else may read them")
    if not 0 < int(port) <= _MAX_PORT:
        raise UsageError("ports are 1 to 65535")
    return host, int(port)


@contextmanager
def metrics_beside(folder: Path, *, database: str | None, host: str, port: int) -> Iterator[None]:
    """Answer ``/metrics`` from a process of its own, as long as this one is here.

    Call it before anything loads prometheus-client: it looks for its folder once.

    Raises:
        HostError: prometheus-client is not installed, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="skillrepo-metrics-") as counted:
        os.environ[VARIABLE] = counted
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_answer, args=(theirs, folder, database, host, port), name="metrics", daemon=True
        )
        process.start()
        theirs.close()
        try:
            if problem := _heard(ours):
                raise HostError(problem)
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            process.terminate()
            process.join()
            ours.close()


def _heard(connection: Connection) -> str:
    """Return why nothing will be answered; empty when it is."""
    try:
        return str(connection.recv()) if connection.poll(_START_SECONDS) else "the metrics do not start"
    except EOFError:
        return "the metrics ended"


def _answer(parent: Connection, folder: Path, database: str | None, host: str, port: int) -> None:
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415
    except ImportError:
        parent.send("prometheus-client is not installed: pip install 'clawdie-skillrepo[server]'")
        return
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(Collector(Repository.open(folder, database=database), lambda: datetime.now(UTC)))
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        parent.send(f"cannot listen on {host}:{port} ({error.strerror})")
        return
    parent.send("")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    threading.Event().wait()


def _end_with(parent: Connection) -> None:
    """A parent that was killed cannot say so; its end of the pipe does."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(0)


class Collector:
    """What a repository holds; prometheus-client's interface."""

    def __init__(self, repository: Repository, clock: Callable[[], datetime]) -> None:
        self._repository, self._clock = repository, clock

    def collect(self) -> Iterator[Any]:
        """Yield the families of numbers as they are now."""
        now = self._clock()
        with snapshot(self._repository.engine) as session:
            yield from self._of_database(session, now)
        left = _seconds(published_expiry(self._repository.skills_root), now)
        yield _gauge(
            "skillrepo_published_timestamp_expires_seconds",
            "What is left of the published timestamp; 0 when it cannot be read.",
            [((), left)],
        )

    def _of_database(self, session: Session, now: datetime) -> Iterator[Any]:
        ends: dict[str, datetime] = {}
        for role, signed in all_roles(session):
            label = "skills-bins" if is_bin(role) else role
            ends[label] = min(signed.expires, ends.get(label, signed.expires))
        yield _gauge(
            "skillrepo_role_expires_seconds",
            "What is left of a role's metadata.",
            [((role,), _seconds(end, now)) for role, end in sorted(ends.items())],
            "role",
        )
        candidates = _counted(session, CandidateRow.state, [state.value for state in CandidateState])
        yield _gauge("skillrepo_candidates", "Candidates by state.", candidates, "state")
        releases = _counted(session, ReleaseRow.state, [])
        yield _gauge("skillrepo_releases", "Releases by state.", releases, "state")
        waiting = len({row.subject for row in open_proposals(session)})
        yield _gauge("skillrepo_proposals_open", "What waits for signatures.", [((), waiting)])
        entries = published_list(self._repository, session).entries
        yield _gauge(
            "skillrepo_withdrawals",
            "Entries of the published list, lifted ones among them.",
            [((state.value,), sum(entry.state is state for entry in entries)) for state in Withdrawn],
            "state",
        )
        serials = newest_serials(session)
        yield _gauge(
            "skillrepo_package_serial",
            "The newest serial of a package repository.",
            [((row.repo,), row.serial) for row in serials],
            "repository",
        )
        yield _gauge(
            "skillrepo_package_age_seconds",
            "How long ago a package repository was published.",
            [((row.repo,), (now - row.published_at).total_seconds()) for row in serials],
            "repository",
        )


def _counted(session: Session, column: Any, states: list[str]) -> list[tuple[tuple[str, ...], float]]:
    found = dict.fromkeys(states, 0) | {
        str(state): count for state, count in session.execute(select(column, func.count()).group_by(column))
    }
    return [((state,), count) for state, count in sorted(found.items())]


def _seconds(end: datetime | None, now: datetime) -> float:
    return max(0.0, (end - now).total_seconds()) if end is not None else 0.0


def _gauge(name: str, said: str, values: list[tuple[tuple[str, ...], float]], *labels: str) -> Any:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

    family = GaugeMetricFamily(name, said, labels=list(labels))
    for label, value in values:
        family.add_metric(list(label), value)
    return family
