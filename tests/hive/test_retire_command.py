"""`hive retire-tenant` as an operator uses it: what it asks, what it says, what it leaves and what it does not touch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from hive.db.session import transaction
from hive.jails.directory import DirectoryHost
from hive.retiring import Retirer
from hive.tenants import TenantStatus, load_row
from hive.vault import env_file
from repo_client.updater import locked
from signing.console import Console
from signing.errors import HostError
from signing.format.names import parse_tenant_id
from tests.support.hive_desk import HiveDesk
from tests.support.hurry import in_a_hurry
from tests.support.world import World, now

ACME = parse_tenant_id("acme")


@pytest.fixture
def desk(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[HiveDesk]:
    with in_a_hurry(), world.serve() as server:
        yield HiveDesk(tmp_path / "desk", world, server, capsys, monkeypatch)


@pytest.fixture
def born(desk: HiveDesk) -> HiveDesk:
    """A tenant whose jail holds secrets."""
    desk.tenant()
    desk.hive("birth", "acme")
    assert desk.env().exists()
    return desk


def gone(desk: HiveDesk) -> None:
    assert desk.status_of() == "retired"
    assert desk.secrets_in_jails() == []
    assert not desk.host.exists(ACME)
    assert desk.json("audit", "verify")["ok"]


def test_a_tenant_with_secrets_is_retired(born: HiveDesk) -> None:
    answer = born.json("retire-tenant", "acme", "--yes", "--reason", "contract ended")
    assert answer == {"ok": True, "tenant_id": "acme", "status": "retired", "changed": True}
    gone(born)
    assert born.json("show-tenant", "acme")["reason"] == "contract ended"
    events = born.events()
    for event in ("tenant.retiring", "token.revoked", "secrets.withdrawn", "tenant.retired"):
        assert events.count(event) == 1
    assert (
        events.index("tenant.retiring") < events.index("secrets.withdrawn") < events.index("tenant.retired")
    )


def test_twice_is_once(born: HiveDesk) -> None:
    assert born.hive("retire-tenant", "acme", "--yes") == "retired: acme\n"
    before = born.events()
    assert born.hive("retire-tenant", "acme", "--yes") == "acme is retired already; nothing was changed\n"
    assert born.json("retire-tenant", "acme", "--yes", "--reason", "other")["changed"] is False
    assert born.events() == before
    assert born.json("show-tenant", "acme")["reason"] == "retired by the operator"


def test_nothing_comes_after_it(born: HiveDesk) -> None:
    born.hive("retire-tenant", "acme", "--yes")
    for words, status in [
        (("birth", "acme"), 4),
        (("provision", "acme"), 12),
        (("spawn-agent", "acme"), 4),
        (("release-tenant", "acme", "--reason", "x"), 4),
        (("register-tenant", "acme", "--tier", "free", "--profile", "base==1"), 4),
    ]:
        born.hive(*words, status=status)
    gone(born)


def test_nobody_is_there_to_confirm_it(born: HiveDesk) -> None:
    error = born.json("retire-tenant", "acme", status=2)["error"]
    assert (error["code"], error["hint"]) == ("usage", "give --yes")
    assert born.status_of() == "born"
    assert born.env().exists()


@pytest.mark.parametrize(("typed", "status", "standing"), [("acme", 0, "retired"), ("acm", 2, "born")])
def test_the_name_is_typed(
    born: HiveDesk, monkeypatch: pytest.MonkeyPatch, typed: str, status: int, standing: str
) -> None:
    asked: list[str] = []

    def answer(text: str, **_: Any) -> str:
        asked.append(text)
        return typed

    monkeypatch.setattr(Console, "can_ask", lambda _: True)
    monkeypatch.setattr(click, "prompt", answer)
    said = born.hive("retire-tenant", "acme", status=status)
    assert asked == ["Retire acme for good? Type its name"]
    assert said == ("retired: acme\n" if status == 0 else "")
    assert ("nothing was changed" in born.err) == (status != 0)
    assert born.status_of() == standing


def test_an_unknown_tenant_and_a_name_that_is_none(desk: HiveDesk) -> None:
    desk.tenant(bucket=False)
    assert desk.json("retire-tenant", "nobody", "--yes", status=3)["error"]["code"] == "not-found"
    assert desk.json("retire-tenant", "../acme", "--yes", status=10)["error"]["code"] == "malformed"


def test_while_a_birth_runs(born: HiveDesk) -> None:
    with locked(born.state / "births/acme", seconds=0):
        error = born.json("retire-tenant", "acme", "--yes", status=4)["error"]
    assert error["code"] == "conflict"
    assert "in use by another process" in error["message"]
    assert born.status_of() == "born"
    assert "tenant.retiring" not in born.events()
    assert born.env().exists()


def test_a_jail_that_is_elsewhere(born: HiveDesk) -> None:
    """A mistyped base does not end the tenant on paper while its jail lives on."""
    words = ("retire-tenant", "acme", "--yes", "--jail-root-base", str(born.folder / "other"))
    error = born.json(*words, status=4)["error"]
    assert str(born.folder / "jails/acme/root") in error["message"]
    assert "--jail-root-base" in error["hint"]
    assert born.status_of() == "born"
    assert "tenant.retiring" not in born.events()
    assert born.env().exists()
    assert not (born.folder / "other").exists()


def test_a_spawned_jail_is_removed_by_its_own_command(desk: HiveDesk) -> None:
    desk.tenant(bucket=False)
    desk.hive("spawn-agent", "acme")
    error = desk.json("retire-tenant", "acme", "--yes", status=4)["error"]
    assert "spawn-agent --remove" in error["hint"]
    assert desk.host.exists(ACME)
    assert desk.status_of() == "quarantined"  # cut off, and not at its end
    desk.hive("spawn-agent", "acme", "--remove", "--yes")
    assert desk.json("retire-tenant", "acme", "--yes")["changed"]
    gone(desk)


def test_a_tenant_that_was_never_born(desk: HiveDesk) -> None:
    desk.tenant()
    assert desk.json("retire-tenant", "acme", "--yes")["changed"]
    gone(desk)


def test_a_jail_without_our_mark_is_left_alone(born: HiveDesk) -> None:
    (born.folder / "jails/acme/birth").unlink()
    error = born.json("retire-tenant", "acme", "--yes", status=4)["error"]
    assert "was not made by its birth" in error["message"]
    assert born.host.exists(ACME)
    assert born.status_of() == "quarantined"


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "continued later"])
def test_a_failed_birth_is_retired_with_what_it_left(desk: HiveDesk, kept: bool) -> None:
    desk.tenant()
    desk.server.missing.add(
        next(
            f"/{path.relative_to(desk.server.root)}"
            for path in desk.server.root.rglob("*.web-search-1.0.tar.gz")
        )
    )
    desk.hive("birth", "acme", *(["--on-failure", "keep"] if kept else []), status=3)
    assert desk.status_of() == "failed"
    assert desk.json("retire-tenant", "acme", "--yes")["changed"]
    gone(desk)


def test_a_tenant_in_quarantine(born: HiveDesk) -> None:
    with transaction(born.engine) as session:
        load_row(session, ACME).status = TenantStatus.QUARANTINED.value
    assert born.json("retire-tenant", "acme", "--yes")["changed"]
    gone(born)


def test_a_host_without_a_user_for_agents_any_more(born: HiveDesk) -> None:
    del born.settings["jail_uid"], born.settings["jail_gid"]
    assert born.json("retire-tenant", "acme", "--yes")["changed"]
    gone(born)


@pytest.mark.parametrize("where", ["usr", "usr/home", "usr/home/agent"])
def test_a_tenant_that_hinders_it_is_retired_all_the_same(born: HiveDesk, tmp_path: Path, where: str) -> None:
    """A link in the way to the secrets keeps neither them nor the jail; what it leads to stays."""
    outside = tmp_path / "outside/agent"
    outside.mkdir(parents=True)
    (outside / ".env").write_text("somebody else's")
    place = born.folder / "jails/acme/root" / where
    place.rename(place.with_name("moved"))
    place.symlink_to(outside)
    assert born.json("retire-tenant", "acme", "--yes")["changed"]
    gone(born)
    assert (outside / ".env").read_text() == "somebody else's"
    assert born.events().count("secrets.withdrawn") == 1


def test_a_disk_that_fails_meanwhile(born: HiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise HostError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(env_file, "remove", broken)
        patch.setattr(DirectoryHost, "destroy", broken)
        assert born.json("retire-tenant", "acme", "--yes", status=6)["error"]["code"] == "host-failed"
    assert born.status_of() == "quarantined"
    assert not born.host.is_running(ACME)
    assert born.hive("birth", "acme", status=0)  # it says that it was born, and changes nothing
    assert born.status_of() == "quarantined"
    assert born.json("retire-tenant", "acme", "--yes")["changed"]
    gone(born)


def test_whoever_was_retired_by_another_process_stays_retired(
    born: HiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two state folders share the database and no lock: the second does not set the end back to a quarantine."""
    genuine = Retirer._cut_off

    def late(self: Retirer, *args: Any) -> bool:
        monkeypatch.undo()
        assert Retirer(
            engine=self.engine, host=self.host, state=born.folder / "second", clock=self.clock
        ).retire(ACME, reason="first")
        return genuine(self, *args)

    monkeypatch.setattr(Retirer, "_cut_off", late)
    retirer = Retirer(engine=born.engine, host=born.host, state=born.state, clock=now)
    assert retirer.retire(ACME, reason="second") is False
    gone(born)
    assert born.json("show-tenant", "acme")["reason"] == "first"
