"""What a birth needs from the world (edge): database, repository, jails, clock, gates, secrets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from hive.agents.names import AgentId
from hive.birth.admit_all import Admitted
from hive.config import DEFAULT_STORE_BYTES
from hive.gates.register import Gates
from hive.jails.host import JailHost
from hive.packages.bringing import Pantry
from hive.packages.jail_config import jail_files
from hive.policy import POLICY, Policy
from repo_client.client import RepoClient
from repo_client.packages import PackageStore, Progress, package_server
from repo_client.ready import ReadySets
from repo_client.verify_at import VerifyAt
from signing.format.names import TenantId
from signing.format.pkg.names import Abi


@dataclass(frozen=True, slots=True, kw_only=True)
class Mother:
    """The host routine that births: everything it needs from the world.

    Attributes:
        gates: what has to be proven before a paying customer is let in; asked first, and again at activation.
        policy: what this host demands of evidence.
        secrets: brings a tenant's secrets into its jail and returns their names; None: this host has no user for
            agents configured, so it births only tenants without a bucket, and their agents get no token.
        abi: that of the jails here.
        verify: how the skills that jails are shown are looked at; for the paid tier they are always compared at birth.
        here: what this host is called where several share the database.
    """

    engine: Engine
    client: RepoClient
    host: JailHost
    state: Path
    clock: Callable[[], datetime]
    gates: Gates
    policy: Policy = POLICY
    secrets: Callable[[TenantId], Sequence[str]] | None = None
    abi: Abi | None = None
    store_bytes: int = DEFAULT_STORE_BYTES
    progress: Progress | None = None
    verify: VerifyAt = VerifyAt.BIRTH
    here: AgentId | None = None

    @property
    def external_dir(self) -> Path:
        """Where external bundles of the free tier are kept."""
        return self.state / "external"

    @property
    def ready_sets(self) -> ReadySets:
        """Where the skills that jails are shown are kept."""
        return ReadySets(self.state / "ready")

    @property
    def pantry(self) -> Pantry:
        """Where packages are kept."""
        store = PackageStore(folder=self.state / "packages", max_bytes=self.store_bytes)
        return Pantry(store=store, abi=self.abi, progress=self.progress)

    def jail_files(self, admitted: Admitted) -> Mapping[str, bytes]:
        """Return pkg's configuration for a jail with these packages."""
        if admitted.package_set is None:
            return {}
        server = self.client.pkg_server or package_server(self.client.server)
        return jail_files(admitted.package_set, server.base)
