"""A host with a jail for each tenant, and a vault whose buckets a test writes down."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hive import audit, tenants
from hive.db.session import open_engine, snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.tenants import TenantStatus, Tier, load_row
from hive.vault import ledger
from hive.vault.bucket import Bucket, Variable, make_bucket
from hive.vault.provision import Provisioner
from hive.vault.secret import Secret
from signing.errors import NotFoundError
from signing.format.names import Pin, TenantId, parse_tenant_id

ACME, BETA = parse_tenant_id("acme"), parse_tenant_id("beta")
# As root the jail user is somebody else, as in production; without root it can only be ourselves.
OWNER = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


@dataclass
class Buckets:
    """A vault in memory. ``error`` is raised instead of an answer."""

    values: dict[str, dict[str, str]] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[], Any] = lambda: None

    def bucket(self, tenant_id: TenantId, collection_id: str) -> Bucket:
        self.asked.append((tenant_id, collection_id))
        self.before()
        if self.error is not None:
            raise self.error
        if collection_id not in self.values:
            raise NotFoundError("no such bucket")
        found = self.values[collection_id]
        pairs = (Variable(name, value, "memory") for name, value in found.items())
        return make_bucket(tenant_id, collection_id, pairs, declared=tuple(found))


@dataclass
class Host:
    """A machine with its database, its jails and its provisioner."""

    folder: Path
    provisioner: Provisioner
    vault: Buckets

    @classmethod
    def make(cls, folder: Path) -> "Host":
        provisioner = Provisioner(
            engine=open_engine(f"sqlite:///{folder / 'hive.db'}"),
            host=DirectoryHost(folder / "jails"),
            state=folder / "state",
            owner=OWNER,
            clock=lambda: datetime.now(UTC),
        )
        return cls(folder, provisioner, Buckets())

    def register(self, tenant: TenantId, *, collection_id: str | None = None, jail: bool = True) -> None:
        with transaction(self.provisioner.engine) as session:
            tenants.register(
                session,
                tenant,
                tier=Tier.PAID,
                profile=Pin.parse("base==1"),
                collection_id=collection_id,
                scratch=False,
                now=datetime.now(UTC),
            )
        if jail:
            self.provisioner.host.create(tenant, mark="0" * 32)

    def status(self, tenant: TenantId, status: TenantStatus) -> None:
        with transaction(self.provisioner.engine) as session:
            load_row(session, tenant).status = status.value

    def provision(self, tenant: TenantId = ACME, **options: Any) -> Any:
        return self.provisioner.provision(self.vault, tenant, **options)

    def root(self, tenant: TenantId = ACME) -> Path:
        return Path(self.provisioner.host.describe(tenant))

    def env(self, tenant: TenantId = ACME) -> Path:
        return self.root(tenant) / "usr/home/agent/.env"

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with snapshot(self.provisioner.engine) as session:
            audit.check(session)
            return [(record.event, record.facts) for record in audit.read(session)]

    def recorded(self, tenant: TenantId = ACME) -> ledger.Provisioning | None:
        with snapshot(self.provisioner.engine) as session:
            return ledger.load(session, tenant)


def own_of(tenant: TenantId) -> dict[str, Secret]:
    return {"HIVE_URL": Secret(b"https://hive.example"), "HIVE_TOKEN": Secret(b"token-of-" + tenant.encode())}
