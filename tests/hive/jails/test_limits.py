"""What jails may use: the operator's file, and that no jail of a tenant runs with anything else."""

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import hive
from hive.doctor import machine as doctor
from hive.jails.bastille import BastilleHost
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from hive.jails.limits import Limits, parse_rules, with_rules
from hive.jails.limits_file import BUILT_IN, LimitsTable, load_limits, parse_limits
from hive.jails.starting import start_limited
from hive.tenants import Tenant, TenantStatus, Tier
from repo_client.handles import Directory
from signing.errors import ConflictError, FormatError, HostError, NotFoundError
from signing.format.names import Pin, parse_tenant_id
from tests.hive.jails.test_kills import killed
from tests.support.bastille_machine import HURRIED, BastilleMachine

ACME = parse_tenant_id("acme")
SMALL = Limits(memory_bytes=1 << 20, processes=7, open_files=70, cpu_percent=50)
TABLE = LimitsTable(tiers={Tier.PAID: SMALL, Tier.FREE: Limits()})
RULES = [
    "jail:acme:memoryuse:deny=1048576",
    "jail:acme:maxproc:deny=7",
    "jail:acme:openfiles:deny=70",
    "jail:acme:pcpu:deny=50",
]


def tenant(tier: Tier = Tier.PAID, profile: str = "base==1") -> Tenant:
    return Tenant(
        tenant_id=ACME,
        tier=tier,
        profile=Pin.parse(profile),
        collection_id=None,
        scratch=False,
        status=TenantStatus.REGISTERED,
        reason="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.fixture(params=["directory", "stand-in"])
def host(request: pytest.FixtureRequest, tmp_path: Path, machine: BastilleMachine) -> JailHost:
    made: JailHost = (
        DirectoryHost(tmp_path / "jails", limits_table=TABLE)
        if request.param == "directory"
        else machine.host(limits_table=TABLE)
    )
    made.create(ACME, mark="ours")
    return made


# --- the file ------------------------------------------------------------------------------------------


def test_a_file_says_what_tiers_and_profiles_have() -> None:
    table = parse_limits(
        b'[paid]\nmemory = "3G"\n[free]\ncpu_percent = "none"\n[profiles.lane]\nmemory = 4096\nprocesses = 9\n',
        where="limits.toml",
    )
    built_in = BUILT_IN[Tier.PAID]
    assert table.of(tenant()) == Limits(memory_bytes=3 << 30, processes=256, open_files=8192, cpu_percent=200)
    assert table.of(tenant(profile="lane==2")) == Limits(
        memory_bytes=4096, processes=9, open_files=built_in.open_files, cpu_percent=built_in.cpu_percent
    )
    assert table.of(tenant(Tier.FREE)).cpu_percent is None
    assert table.of(tenant(Tier.FREE)).processes == BUILT_IN[Tier.FREE].processes
    assert table.unlimited() == ("free.cpu_percent",)


def test_without_a_file_every_jail_is_limited_in_everything() -> None:
    table = load_limits(None)
    assert table == LimitsTable()
    assert table.unlimited() == ()
    assert all(value for tier in Tier for value in table.tiers[tier].to_json().values())


@pytest.mark.parametrize("unit", ["K", "M", "G", "T"])
def test_units_are_powers_of_1024(unit: str) -> None:
    table = parse_limits(f'paid.memory = "2{unit}"'.encode(), where="x")
    assert table.of(tenant()).memory_bytes == 2 * 1024 ** ("KMGT".index(unit) + 1)


@pytest.mark.parametrize(
    "text",
    [
        "paid = 1",
        "[gold]",
        "profiles = []",
        'paid.memory = "2g"',
        'paid.memory = "0"',
        'paid.memory = "1.5G"',
        'paid.memory = "2GB"',
        'paid.memory = " 2G"',
        "paid.memory = 0",
        "paid.processes = -1",
        "paid.processes = 1.5",
        "paid.processes = true",
        "paid.processes = []",
        'paid.processes = "7"',
        'paid.processes = "None"',
        "paid.swap = 1",
        'paid.memory = "999999999999999T"',
        "profiles.Lane.processes = 1",
        "profiles.lane = 7",
        "profiles.lane.tier = 7",
        "[paid]\n[paid]",
        "\xff",
        "x = " + "[" * 5000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_amount_is_an_error(text: str) -> None:
    with pytest.raises(FormatError):
        parse_limits(text.encode("latin-1"), where="limits.toml")


def test_a_file_that_is_named_has_to_be_there_and_small(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_limits(tmp_path / "absent.toml")
    (tmp_path / "large").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(FormatError, match="larger"):
        load_limits(tmp_path / "large")


def test_the_example_is_what_is_built_in() -> None:
    example = Path(hive.__file__).parent.parent / "deploy/limits.toml"
    assert load_limits(example) == LimitsTable()
    # With its commented lines too it is a file of this form.
    whole = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", example.read_text())
    assert parse_limits(whole.encode(), where="x").profiles


# --- the rules -----------------------------------------------------------------------------------------


def test_our_rules_replace_ours_and_leave_what_is_others() -> None:
    kept = "jail:acme:maxproc:log=5/jail\njail:acme2:maxproc:deny=5/jail\njail:acme:swapuse:deny=1G/jail\n"
    before = f"{kept}jail:acme:maxproc:deny=1K/jail\njail:acme:maxproc:deny=3/jail\n"
    after = with_rules(before, ACME, Limits(processes=7))
    assert after == f"{kept}jail:acme:maxproc:deny=7/jail\n"
    assert with_rules(after, ACME, Limits(processes=7)) == after
    assert with_rules(after, ACME, Limits()) == kept


def test_what_the_kernel_answers_is_read() -> None:
    """It leaves ``/jail`` out (kern_rctl.c, rctl_rule_to_sbuf)."""
    answer = "\n".join([*RULES, "jail:acme:maxproc:log=3", "jail:acme:maxproc:deny=3/process", ""])
    assert parse_rules(answer, ACME, where="rctl") == SMALL


# --- starting ------------------------------------------------------------------------------------------


def test_a_jail_is_started_with_the_limits_of_its_tier_and_they_can_change(host: JailHost) -> None:
    assert start_limited(host, tenant(), mark="ours") == SMALL
    assert host.is_running(ACME)
    assert host.limits_of(ACME) == SMALL
    assert start_limited(host, tenant(Tier.FREE), mark="ours") == Limits()  # it runs: from now on
    assert host.limits_of(ACME) == Limits()
    assert host.is_running(ACME)


def test_another_births_jail_is_neither_limited_nor_started(host: JailHost) -> None:
    with pytest.raises(ConflictError, match="not made by this birth"):
        start_limited(host, tenant(), mark="theirs")
    assert host.limits_of(ACME) == Limits()
    assert not host.is_running(ACME)


def test_a_jail_that_has_other_limits_afterwards_is_stopped(
    host: JailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_limited(host, tenant(), mark="ours")
    monkeypatch.setattr(type(host), "limits_of", lambda *_: Limits(processes=1))
    with pytest.raises(HostError, match="does not have the limits"):
        start_limited(host, tenant(Tier.FREE), mark="ours")
    assert not host.is_running(ACME)


def limited(machine: BastilleMachine) -> BastilleHost:
    host = machine.host(limits_table=TABLE)
    host.create(ACME, mark="ours")
    return host


def test_the_tenants_own_rc_runs_within_the_limits_from_start_to_end(machine: BastilleMachine) -> None:
    """Bastille adds rules behind the jail's rc, and drops them before its rc.shutdown: a fork bomb has time in both."""
    host = limited(machine)
    before = len(machine.rc)
    for _ in range(2):
        start_limited(host, tenant(), mark="ours")
        host.stop(ACME, mark="ours")
    assert machine.rc[before:] == [["start acme", *RULES], ["stop acme", *RULES]] * 2
    host.destroy(ACME, mark="ours")
    assert machine.rules == []


def test_the_limits_survive_a_boot_of_the_host(machine: BastilleMachine) -> None:
    host = limited(machine)
    start_limited(host, tenant(), mark="ours")
    host.stop(ACME, mark="ours")
    (machine.folder / "rules.json").unlink()  # the kernel forgets them
    host.start(ACME, mark="ours")
    assert machine.rules == RULES
    assert machine.rc[-1] == ["start acme", *RULES]


@pytest.mark.parametrize("how", ["nothing", "fail", "deaf", "garbage", "hang", "flood"])
def test_where_the_kernel_does_not_limit_nothing_is_started(how: str, machine: BastilleMachine) -> None:
    host = limited(machine)
    machine.misbehave(rctl=how)
    if how == "hang":
        host = machine.host(patience=HURRIED, limits_table=TABLE)
    with pytest.raises(HostError, match="cannot be limited"):
        start_limited(host, tenant(), mark="ours")
    assert ["start", "acme"] not in machine.changes
    assert machine.kernel == {}
    machine.misbehave()
    start_limited(host, tenant(), mark="ours")
    assert machine.rules == RULES


def test_a_running_jail_that_cannot_be_limited_any_more_is_stopped(machine: BastilleMachine) -> None:
    host = limited(machine)
    start_limited(host, tenant(Tier.FREE), mark="ours")
    machine.misbehave(rctl="deaf")
    with pytest.raises(HostError, match="cannot be limited"):
        start_limited(host, tenant(), mark="ours")
    assert machine.kernel == {}


def test_a_host_that_does_not_account_runs_jails_only_without_limits(machine: BastilleMachine) -> None:
    host = limited(machine)
    (machine.folder / "no-racct").touch()
    with pytest.raises(HostError, match="cannot be limited") as caught:
        start_limited(host, tenant(), mark="ours")
    assert "kern.racct.enable=1" in str(caught.value.hint)
    assert machine.kernel == {}
    start_limited(host, tenant(Tier.FREE), mark="ours")  # as its operator wrote down
    assert list(machine.kernel) == ["acme"]


def test_a_rule_that_somebody_wrote_by_hand_is_not_the_last_word(machine: BastilleMachine) -> None:
    """Bastille adds what it finds in the file, in its order; the last amount would hold."""
    host = limited(machine)
    start_limited(host, tenant(), mark="ours")
    host.stop(ACME, mark="ours")
    with (machine.prefix / "jails/acme/rctl.conf").open("a") as rules:
        rules.write("jail:acme:maxproc:deny=5000/jail\n")
    with pytest.raises(FormatError, match="two rules for maxproc"):
        host.start(ACME, mark="ours")
    assert machine.kernel == {}
    start_limited(host, tenant(), mark="ours")
    assert sorted(machine.rules) == sorted(RULES)


def test_whoever_is_killed_in_a_stop_leaves_the_jail_limited(
    machine: BastilleMachine,
) -> None:
    """The file is elsewhere while Bastille stops a jail, and the kernel has the rules."""
    host = limited(machine)
    start_limited(host, tenant(), mark="ours")
    machine.misbehave(stop="kill")
    assert killed(lambda: host.stop(ACME, mark="ours"))
    machine.misbehave()
    assert host.is_running(ACME)
    assert machine.rules == RULES
    assert host.limits_of(ACME) == SMALL
    host.stop(ACME, mark="ours")
    assert machine.rc[-1] == ["stop acme", *RULES]
    host.start(ACME, mark="ours")
    assert machine.rules == RULES
    host.limits(ACME, SMALL)
    host.stop(ACME, mark="ours")
    assert len((machine.prefix / "jails/acme/rctl.conf").read_text().splitlines()) == len(RULES)


def test_a_tenant_that_filled_the_disk_is_stopped_all_the_same(
    machine: BastilleMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = limited(machine)
    start_limited(host, tenant(), mark="ours")

    def full(*_: object, **__: object) -> None:
        raise HostError("cannot write the file: No space left on device")

    monkeypatch.setattr(Directory, "create_file", full)
    host.stop(ACME, mark="ours")
    assert machine.kernel == {}
    assert machine.rc[-1] == ["stop acme", *RULES]
    assert host.limits_of(ACME) == SMALL


def test_a_stop_that_is_forced_puts_the_rules_back(machine: BastilleMachine) -> None:
    host = limited(machine)
    start_limited(host, tenant(), mark="ours")
    machine.misbehave(stop="nothing")
    host.stop(ACME, mark="ours")
    assert machine.kernel == {}
    assert host.limits_of(ACME) == SMALL
    assert machine.rules == RULES  # by name, for whoever starts it without us


@pytest.mark.parametrize("racct", [True, False])
def test_the_doctor_says_when_jails_are_not_limited(
    racct: bool, machine: BastilleMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "open_host", lambda _: machine.host(limits_table=TABLE))
    if not racct:
        (machine.folder / "no-racct").touch()
    said = [(item.outcome.value, item.says) for item in doctor.check_jail_host(SimpleNamespace(config=None))]  # type: ignore[arg-type]
    assert [standing for standing, _ in said] == ["ok", "warn", "ok" if racct else "bad"]
    assert "free.memory" in said[1][1]


def test_nobody_starts_a_tenants_jail_past_its_limits() -> None:
    """One door: whatever starts a jail for a tenant gives it its limits first."""
    package = Path(hive.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\bhost\.start\(", path.read_text())
    }
    assert found == {"jails/starting.py"}
