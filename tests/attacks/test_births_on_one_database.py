"""Births and retirements of hosts that share a PostgreSQL and no lock file: the database decides, one after the other."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from hive import audit, certificate, trust
from hive.birth.journal import Journal
from hive.db.session import open_engine, snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.retiring import Retirer
from hive.tenants import Tenant, TenantStatus, Tier, load_row, register
from repo_client.client import Standing
from signing.errors import ConflictError, HostError, RollbackError
from signing.format.digest import sha256_of
from signing.format.names import Pin, parse_tenant_id
from signing.format.revocations import Revocations
from tests.attacks.test_foreign_jail import NOTHING
from tests.support import postgres
from tests.support.world import now

pytestmark = pytest.mark.slow
ACME = parse_tenant_id("acme")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def engine(server: str) -> Iterator[Engine]:
    with postgres.database(server, "births") as url:
        engine = open_engine(url)
        with transaction(engine) as session:
            register(
                session,
                ACME,
                tier=Tier.FREE,
                profile=Pin.parse("base==1"),
                collection_id=None,
                scratch=False,
                now=now(),
            )
        yield engine
        engine.dispose()


def standing(engine: Engine) -> Tenant:
    with snapshot(engine) as session:
        audit.check(session)
        return Tenant.of(load_row(session, ACME))


def test_births_that_begin_at_once_are_one_birth(engine: Engine) -> None:
    """Each takes over from the one before; none of them fails for having come second."""
    journals = [Journal(engine, ACME) for _ in range(6)]
    together = threading.Barrier(len(journals))

    def begin(journal: Journal) -> tuple[str, bool]:
        together.wait(10)
        begun = journal.begin(jail_root="/jails/acme/root", now=now())
        return begun.mark, begun.continued

    with ThreadPoolExecutor(len(journals)) as pool:
        begun = list(pool.map(begin, journals))
    assert len({mark for mark, _ in begun}) == 1
    assert [continued for _, continued in begun].count(False) == 1
    mine = 0
    for journal in journals:
        try:
            journal.started("create-jail", now=now())
        except ConflictError:
            continue
        mine += 1
    assert mine == 1


@pytest.mark.parametrize("ends", ["finish", "failed"])
def test_a_retirement_that_comes_while_a_birth_ends(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """It waits for that, and then it counts: no birth writes over it what was read before."""
    journal, retiring = Journal(engine, ACME), threading.Event()
    journal.begin(jail_root=str(tmp_path / "jails/acme/root"), now=now())
    retirer = Retirer(engine=engine, host=DirectoryHost(tmp_path / "jails"), state=tmp_path, clock=now)

    def retire() -> None:
        retiring.set()
        retirer.retire(ACME, reason="left")

    thread = threading.Thread(target=retire)

    def meanwhile(*_: Any, **__: Any) -> None:
        thread.start()
        assert retiring.wait(10)
        thread.join(1)  # it cannot end before we do

    with monkeypatch.context() as patch:
        if ends == "finish":
            patch.setattr(certificate, "keep", meanwhile)
            journal.finish(standing(engine), {}, NOTHING, now=now())
        else:
            genuine = audit.append

            def append(session: Any, *, event: str, facts: Any, now: Any) -> Any:
                if event == "birth.failed":
                    meanwhile()
                return genuine(session, event=event, facts=facts, now=now)

            patch.setattr(audit, "append", append)
            journal.failed(HostError("x"), now=now())
    thread.join(20)
    assert not thread.is_alive()
    tenant = standing(engine)
    assert (tenant.status, tenant.reason) == (TenantStatus.RETIRED, "left")
    with pytest.raises(ConflictError):
        journal.started("start", now=now())


def test_two_hosts_that_remember_at_once_remember_the_newest(engine: Engine) -> None:
    """Both see the repository for the first time; whoever is later with the older state does not write over the newer."""
    together = threading.Barrier(2)

    def remember(version: int) -> str:
        together.wait(10)
        try:
            with transaction(engine) as session:
                trust.remember(session, standing_at(version))
        except RollbackError:
            return "refused"
        return "remembered"

    for first in (1, 11, 21, 31):
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(remember, [first, first + 5]))
        assert outcomes[1] == "remembered"
        with snapshot(engine) as session:
            row = trust.load(session)
            assert row is not None
            assert row.timestamp_version == first + 5


def standing_at(version: int) -> Standing:
    return Standing(
        anchor_sha256=sha256_of(b"anchor"),
        root=1,
        timestamp=version,
        snapshot=version,
        online_sha256=sha256_of(b"online"),
        revocations=Revocations(),
    )
