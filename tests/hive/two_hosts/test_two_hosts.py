"""From a published skill to agents on two hosts, with everything real but the jails: PostgreSQL, an S3 engine, nginx, processes.

publish (PostgreSQL, blobs in RGW) → nginx → two wombs claim ordered births → agents are heard → one host is killed in the
middle of a birth → the other makes it → revoke → both sweeps cut their own tenants off, and nobody else's.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from hive import audit, hosts
from hive.agents.client import Endpoint, HiveClient
from hive.db.agent_tables import AgentRow, JobRow
from hive.db.order_tables import BirthOrderRow
from hive.db.session import open_engine, snapshot, transaction
from hive.documents import Documents
from hive.gates.register import Gates
from hive.hosts import Role
from hive.orders.orders import order
from hive.tenants import Tenant, TenantStatus, Tier, load_row, register
from repo_server.config import RepositoryConfig
from repo_server.storage.choose import BlobSettings
from signing.format.names import Pin, parse_tenant_id
from tests.demo.services import free_address
from tests.hive.two_hosts.hosts import JailHost, kill, wait_until
from tests.repo_server.web.test_nginx import NGINX, configure, free_port, running
from tests.support import ceph, postgres, withdrawing
from tests.support.world import World, now, skill_md

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(NGINX).exists(), reason="nginx is not installed: two hosts are not tried behind it"
    ),
]
pytest.importorskip("obstore", reason="obstore is not installed: two hosts are not tried on an object store")
FIRST, SECOND = "womba", "wombb"


class Fleet:
    """Both hosts, and what their database says."""

    def __init__(self, engine: Engine, hosts: dict[str, JailHost], hive_url: str) -> None:
        self.engine, self.hosts, self.hive_url = engine, hosts, hive_url

    def register(self, name: str) -> None:
        with transaction(self.engine) as session:
            register(
                session,
                parse_tenant_id(name),
                tier=Tier.PAID,
                profile=Pin.parse("base==1"),
                collection_id=None,
                scratch=True,
                now=now(),
            )

    def tenant(self, name: str) -> Tenant:
        with snapshot(self.engine) as session:
            return Tenant.of(load_row(session, parse_tenant_id(name)))

    def claimed_by(self, name: str) -> str | None:
        """Who holds the order of this tenant's birth."""
        with snapshot(self.engine) as session:
            return session.scalars(
                select(JobRow.owner)
                .join(BirthOrderRow, BirthOrderRow.number == JobRow.number)
                .where(BirthOrderRow.tenant_id == name)
            ).first()

    def is_heard(self, host: str) -> bool:
        with snapshot(self.engine) as session:
            row = session.get(AgentRow, host)
            return row is not None and row.seen_at is not None

    def first_heartbeat(self, name: str) -> None:
        """Do what the agent in the jail does first, with the token that stands there."""
        host = self.hosts[str(self.tenant(name).host)]
        variables = host.environment(name)
        assert variables["HIVE_URL"] == self.hive_url
        client = HiveClient(Endpoint.parse(self.hive_url), lambda: variables["HIVE_TOKEN"], timeout=20)
        client.call("/v1/agents/register", {"agent": name, "tenant": name, "capabilities": [], "skills": []})
        client.call("/v1/agents/heartbeat", {"agent": name})

    def records(self) -> list[audit.Record]:
        with snapshot(self.engine) as session:
            audit.check(session)
            return audit.read(session)

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Wait until it is so; else say what the hosts say."""
        wait_until(true, what, logs=[host.folder / "log" for host in self.hosts.values()])

    def where(self, name: str) -> list[str]:
        return [host.name for host in self.hosts.values() if host.root(name).parent.exists()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str, str]]:
    """A repository with web-search and the profile base, behind nginx; its address, and that of a PostgreSQL."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        server = stack.enter_context(postgres.running())
        blobs = stack.enter_context(ceph.running())
        bucket = f"b{secrets.token_hex(6)}"
        ceph.make_bucket(blobs, bucket)
        credentials = folder / "s3.toml"
        credentials.write_text(f'key_id = "{blobs.key_id}"\nsecret = "{blobs.secret}"\n')
        credentials.chmod(0o600)
        settings = BlobSettings(
            bucket=bucket,
            prefix="skills",
            endpoint=blobs.endpoint,
            region="us-east-1",
            credentials=str(credentials),
        )
        url = stack.enter_context(postgres.database(server, "repository"))
        world = World.build(folder / "world", database=url, config=RepositoryConfig(dev=True, blobs=settings))
        stack.callback(world.close)
        world.publish_skill("web-search==1.0", {"SKILL.md": skill_md("web-search")})
        world.publish_profile("base==1", skills=["web-search==1.0"])
        port, nginx = free_port(), folder / "nginx"
        nginx.mkdir()
        main = configure(nginx, world.public.parent, port)
        conf = nginx / "skillrepo.conf"
        conf.write_text(conf.read_text().replace("server_name skills.clawdie.si", "server_name 127.0.0.1"))
        stack.enter_context(running(main, port))
        yield world, f"http://127.0.0.1:{port}", server


@pytest.fixture
def fleet(site: tuple[World, str, str], tmp_path: Path) -> Iterator[Fleet]:
    """Both hosts have joined one database; no womb runs yet."""
    world, url, server = site
    address = free_address()
    with postgres.database(server, "hive") as database:
        engine = open_engine(database)
        found = {
            name: JailHost.settle(
                tmp_path / name,
                name,
                anchor=world.anchor,
                db=database,
                server=url,
                hive_url=f"http://{address}",
                listen=address,
            )
            for name in (FIRST, SECOND)
        }
        with transaction(engine) as session:
            for name in found:
                hosts.put(
                    session, name, system="FreeBSD", roles=[Role.WOMB], capabilities=[], note="", now=now()
                )
        for host in found.values():
            assert host.run("hosts", "join")["host"] == host.name
        yield Fleet(engine, found, f"http://{address}")
        engine.dispose()


@contextmanager
def _both_wombs(fleet: Fleet) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        wombs = {
            name: stack.enter_context(host.running("womb", "--poll", "0.3"))
            for name, host in fleet.hosts.items()
        }
        fleet.wait(lambda: all(fleet.is_heard(name) for name in wombs), "both wombs are heard")
        yield wombs


def _one_on_each(fleet: Fleet) -> dict[str, str]:
    """Order births, two at a time, until each host has made one; return who was born where."""
    born: dict[str, str] = {}
    for number in range(1, 9, 2):
        pair = [f"tenant{number}", f"tenant{number + 1}"]
        for name in pair:
            fleet.register(name)
        for name in pair:
            fleet.hosts[FIRST].run("order-birth", name)
        fleet.wait(lambda: all(fleet.tenant(name).status is TenantStatus.BORN for name in pair), "born")  # noqa: B023
        born |= {name: str(fleet.tenant(name).host) for name in pair}
        if set(born.values()) == set(fleet.hosts):
            return born
    raise AssertionError("one host made every birth")


def test_two_hosts_end_to_end(fleet: Fleet, site: tuple[World, str, str]) -> None:
    world = site[0]
    with fleet.hosts[FIRST].running("serve"), _both_wombs(fleet) as wombs:
        born = _one_on_each(fleet)
        for name, host in born.items():
            assert fleet.where(name) == [host]
            fleet.first_heartbeat(name)
            assert fleet.tenant(name).status is TenantStatus.ACTIVE

        killed, name = _killed_in_the_middle(fleet, wombs)
        fleet.wait(lambda: fleet.tenant(name).status is TenantStatus.BORN, "another host makes the birth")
        (other,) = set(fleet.hosts) - {killed}
        assert fleet.tenant(name).host == other
        fleet.first_heartbeat(name)
        born[name] = other

    # The killed host comes back; its half-made jail goes, and nothing of the other's is touched.
    assert not fleet.hosts[killed].run("womb", "--once")["found"]
    assert fleet.where(name) == [other]

    for host in fleet.hosts.values():
        swept = host.run("sweep")["tenants"]
        assert {item["tenant"] for item in swept} == {
            one for one, where in born.items() if where == host.name
        }
        assert not [item for item in swept if item["findings"]]
    withdrawing.withdraw(world, "web-search==1.0")
    for host in fleet.hosts.values():
        host.run("sweep")
    for one, where in born.items():
        assert fleet.tenant(one).status is TenantStatus.QUARANTINED, one
        assert not fleet.hosts[where].runs(one)
        assert not (fleet.hosts[where].root(one) / "usr/home/agent/.env").exists()
    _nothing_is_doubled(fleet, born)


def _killed_in_the_middle(fleet: Fleet, wombs: dict[str, Any]) -> tuple[str, str]:
    """Kill a host that has begun a birth and not ended it; return which, and whose birth it was."""
    name = "killed"
    fleet.register(name)
    gates = Gates(required=(), documents=Documents(fleet.hosts[FIRST].folder / "documents"), program="")
    with transaction(fleet.engine) as session:  # not by the command, which ends long after the order stands
        order(session, parse_tenant_id(name), abi=None, gates=gates, by="test", now=now(), lease_seconds=2)
    fleet.wait(lambda: fleet.tenant(name).status is not TenantStatus.REGISTERED, "somebody begins")
    killed = str(fleet.claimed_by(name))
    kill(wombs[killed])
    assert fleet.tenant(name).status is TenantStatus.BIRTHING, "the birth was quicker than the kill"
    return killed, name


def _nothing_is_doubled(fleet: Fleet, born: dict[str, str]) -> None:
    records = fleet.records()
    told = [record.facts["tenant"] for record in records if record.event == "birth.born"]
    assert sorted(told) == sorted(born)
    active = [record.facts["tenant"] for record in records if record.event == "birth.active"]
    assert sorted(active) == sorted(born)
    assert [record.event for record in records].count("birth.moved") == 1
    with snapshot(fleet.engine) as session:
        states = session.execute(text("SELECT state, count(*) FROM jobs GROUP BY state")).all()
    assert [tuple(row) for row in states] == [("done", len(born))]
    for host in fleet.hosts.values():
        assert "Traceback" not in host.log()
