"""What a sweep needs, and what it says of one tenant."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine

from hive.agents.names import AgentId
from hive.gates.register import Gates
from hive.jails.host import JailHost
from hive.policy import Policy
from hive.sweep.actions import Action
from hive.sweep.findings import Finding, Found
from hive.sweep.notify import Notifier
from hive.tenants import Tenant
from hive.vault.provision import Provisioner
from repo_client.client import RepoClient
from repo_client.updater import locked
from signing.errors import HostError
from signing.format.names import TenantId

_LOCK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Everything a sweep needs. A ``provisioner`` without an owner looks at no secrets, and takes them away all the same.

    ``here`` is what this host is called where several share the database: whose jails are swept.
    """

    engine: Engine
    client: RepoClient
    host: JailHost
    provisioner: Provisioner
    gates: Gates
    policy: Policy
    actions: Mapping[Found, frozenset[Action]]
    notifier: Notifier
    clock: Callable[[], datetime]
    here: AgentId | None = None

    @contextlib.contextmanager
    def alone(self, tenant_id: TenantId) -> Iterator[None]:
        """Let nobody else on this host act on the tenant: another sweep, or whoever releases it.

        A full disk may have no room for the lock; then it is gone without, for a jail that filled the disk is to be stopped.

        Raises:
            ConflictError: somebody does, for longer than anything should take.
        """
        with contextlib.ExitStack() as held:
            with contextlib.suppress(HostError):
                held.enter_context(
                    locked(self.provisioner.state / "sweeps" / tenant_id, seconds=_LOCK_SECONDS)
                )
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was found about one tenant, what of it is new, what was done, and what could not be done."""

    tenant: Tenant
    findings: tuple[Finding, ...]
    new: tuple[Finding, ...]
    done: tuple[Action, ...]
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "tenant": self.tenant.tenant_id,
            "status": self.tenant.status.value,
            "findings": [finding.to_json() for finding in self.findings],
            "new": len(self.new),
            "done": [action.value for action in self.done],
            "failed": list(self.failed),
        }
