"""Numbers of ``skillrepo refresh --every`` for Prometheus, beside those of the repository (edge).

    skillrepo_keeper_looks_total{result="signed"}     looks, by what came of them: signed, idle, failed
    skillrepo_keeper_success_timestamp_seconds        when one last succeeded; an alarm compares it with the present
    skillrepo_keeper_problems                         what the last look found, or failed by
    skillrepo_role_expires_seconds{role="…"} …        what `repo_server.web.metrics` counts

They are asked for on this machine only; a proxy decides who else may.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from repo_server.publishing.keeping_fresh import Look
from repo_server.repository import Repository
from repo_server.web.metrics import Collector
from signing.errors import ConflictError, HostError

_RESULTS: Final = ("signed", "idle", "failed")


class KeeperNumbers:
    """What is counted of looks; ``listen`` lets it be asked for."""

    def __init__(self, repository: Repository, clock: Callable[[], datetime]) -> None:
        """Prepare the numbers.

        Raises:
            HostError: prometheus-client is not installed.
        """
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise HostError(
                "prometheus-client is not installed", hint="pip install 'clawdie-skillrepo[server]'"
            ) from error
        self.registry = CollectorRegistry()
        self.registry.register(Collector(repository, clock))
        self._looks = Counter(
            "skillrepo_keeper_looks", "Looks by result.", ["result"], registry=self.registry
        )
        self._success = Gauge(
            "skillrepo_keeper_success_timestamp_seconds",
            "When a look last succeeded.",
            registry=self.registry,
        )
        self._problems = Gauge(
            "skillrepo_keeper_problems", "Problems of the last look.", registry=self.registry
        )
        for result in _RESULTS:
            self._looks.labels(result)

    def looked(self, look: Look, *, at: datetime) -> None:
        """Count one look."""
        result = "failed" if look.failed else "signed" if look.state is not None else "idle"
        self._looks.labels(result).inc()
        self._problems.set(len(look.problems))
        if not look.failed:
            self._success.set(at.timestamp())

    def listen(self, host: str, port: int) -> None:
        """Answer on ``host`` and ``port`` from a thread, until the process ends.

        Raises:
            ConflictError: the port is taken.
        """
        from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise ConflictError(f"cannot listen on {host}:{port} ({error.strerror})") from error
