"""Several jail hosts on one database, in one process: each with its own state folder, jails and memory of the repository.

fleet = Fleet.open(world, server.url, tmp_path, url, names=("womba", "wombb"))
fleet.tenant("acme"); fleet.order("acme"); fleet.womb("womba").turn()
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from hive import audit, hosts
from hive.agents.names import AgentId, JobId, parse_agent_id
from hive.agents.rules import Rules
from hive.birth.mother import Mother
from hive.db.agent_tables import JobRow
from hive.db.session import open_engine, snapshot, transaction
from hive.hosts import Role
from hive.jails.directory import DirectoryHost
from hive.joining import Joined, join
from hive.orders.listing import show_order
from hive.orders.needs import offers_of
from hive.orders.orders import order
from hive.orders.place import Place
from hive.orders.womb import Womb
from hive.tenants import Tenant, Tier, load_row, register
from signing.format.names import Pin, parse_tenant_id
from signing.format.pkg.names import Abi
from tests.support.open_gates import open_gate
from tests.support.world import PACKAGES, World, now


@dataclass
class Fleet:
    engine: Engine
    mothers: dict[str, Mother]
    told: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        world: World,
        server: str,
        folder: Path,
        url: str,
        *,
        names: Sequence[str],
        abi: Abi = PACKAGES.abi,
    ) -> "Fleet":
        engine = open_engine(url)
        world.engines.append(engine)
        fleet = cls(engine, {})
        gates = open_gate(engine, folder)  # every host has the documents
        for name in names:
            state = folder / name
            state.mkdir(parents=True)
            fleet.mothers[name] = Mother(
                engine=engine,
                client=world.client(server, state),
                host=DirectoryHost(state / "jails"),
                state=state,
                clock=now,
                gates=gates,
                abi=abi,
                here=parse_agent_id(name),
            )
            fleet.join(name)
        return fleet

    def join(self, name: str, *, keyid: str | None = None) -> Joined:
        mother = self.mothers[name]
        with transaction(self.engine) as session:
            hosts.put(session, name, system="FreeBSD", roles=[Role.WOMB], capabilities=[], note="", now=now())
            return join(
                session,
                AgentId(name),
                keyid=keyid or f"{name:0<64}",
                jails=mother.host,
                offers=offers_of(mother.abi),
                now=now(),
            )

    def tenant(self, name: str, *, profile: str = "base==1", tier: Tier = Tier.PAID) -> None:
        with transaction(self.engine) as session:
            register(
                session,
                parse_tenant_id(name),
                tier=tier,
                profile=Pin.parse(profile),
                collection_id=None,
                scratch=False,
                now=now(),
            )

    def order(self, name: str, *, abi: Abi | None = None, lease: float = 60.0) -> JobId:
        mother = next(iter(self.mothers.values()))
        with transaction(self.engine) as session:
            return order(
                session,
                parse_tenant_id(name),
                abi=abi,
                gates=mother.gates,
                by="test",
                now=now(),
                lease_seconds=lease,
            )

    def womb(self, name: str, **changes: Any) -> Womb:
        """The womb of a host; it has not registered yet, so what the host held before is freed."""
        mother = replace(self.mothers[name], **changes)
        return Womb(
            place=place_of(mother),
            open=lambda: nullcontext(mother),
            tell=self.told.append,
            rules=Rules(),
            poll=0.1,
        )

    def shown(self, job: JobId) -> dict[str, Any]:
        with snapshot(self.engine) as session:
            return show_order(session, job)

    def standing(self, name: str) -> Tenant:
        with snapshot(self.engine) as session:
            return Tenant.of(load_row(session, parse_tenant_id(name)))

    def events(self, name: str) -> list[str]:
        with snapshot(self.engine) as session:
            audit.check(session)
            return [record.event for record in audit.read(session, tenant=name)]

    def jails(self, tenant: str) -> list[str]:
        """On which hosts something stands by the tenant's name."""
        return [name for name, mother in self.mothers.items() if (mother.state / "jails" / tenant).exists()]

    def lease_ends(self, job: JobId) -> None:
        """Let the lease be over, as if its length had passed."""
        with transaction(self.engine) as session:
            session.execute(
                text("UPDATE jobs SET lease_until = lease_until - 2 * lease_seconds WHERE job_id = :job"),
                {"job": job},
            )

    def alter(self, statement: str, **values: Any) -> None:
        with transaction(self.engine) as session:
            session.execute(text(statement), values)

    def job(self, job: JobId) -> JobRow:
        with snapshot(self.engine) as session:
            return session.query(JobRow).filter_by(job_id=job).one()


def place_of(mother: Mother) -> Place:
    """The place of a host whose name nobody doubts."""
    return Place(
        engine=mother.engine,
        host=mother.host,
        state=mother.state,
        clock=mother.clock,
        here=mother.here,
        abi=mother.abi,
        check=lambda: None,
    )
