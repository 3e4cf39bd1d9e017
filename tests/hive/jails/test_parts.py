"""The pure parts: what is printed, networks, limits, lists of mounts, and which host is configured."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from hive.config import HiveConfig
from hive.jails.bastille import BastilleHost
from hive.jails.bastille_listing import ListedJail, RunningNow, parse_jls, parse_list
from hive.jails.choose import open_host
from hive.jails.directory import DirectoryHost
from hive.jails.fstab import Mounted, parse_fstab, places, with_mount
from hive.jails.limits import Limits, parse_rules, rule
from hive.jails.network import JailNetwork
from repo_client.entries import UnsafePathError
from signing.errors import ConflictError, FormatError, HostError, UsageError
from signing.format.names import parse_tenant_id

ACME = parse_tenant_id("acme")

# --- jls and bastille list -----------------------------------------------------------------------------


def jls(*jails: dict[str, Any]) -> bytes:
    return json.dumps({"__version": "2", "jail-information": {"jail": list(jails)}}).encode()


RUNS = {"jid": 7, "name": "acme", "path": "/jails/acme/root"}


def test_what_jls_prints_is_read() -> None:
    expected = RunningNow(name="acme", jid=7, path="/jails/acme/root")
    assert parse_jls(jls(RUNS)) == (expected,)
    assert parse_jls(jls({**RUNS, "jid": "7"})) == (expected,)
    assert parse_jls(jls()) == ()
    assert parse_jls(b'{"__version": "2", "jail-information": {}}') == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"jail-information": []}',
        b'{"jail-information": {"jail": {}}}',
        b'{"jail-information": {"jail": ["acme"]}}',
        jls({**RUNS, "jid": 0}),
        jls({**RUNS, "jid": -1}),
        jls({**RUNS, "jid": True}),
        jls({**RUNS, "jid": "7 "}),
        jls({**RUNS, "name": 7}),
        jls({**RUNS, "path": "relative"}),
        jls({**RUNS, "more": 1}),
        jls({"jid": 7, "name": "acme"}),
        jls(RUNS, RUNS),
        jls(RUNS)[:-2],
        jls(RUNS) + b"x",
        b'{"jail-information": {"jail": [{"jid": 7, "jid": 8, "name": "acme", "path": "/"}]}}',
        jls(RUNS).replace(b"acme", b"ac\xffme"),
        b"[" * 100_000,
        b'{"jail-information": {"jail": []}, "x": "' + b"x" * (1 << 20) + b'"}',
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_what_jls_does_not_print_is_refused(answer: bytes) -> None:
    with pytest.raises(FormatError):
        parse_jls(answer)


@pytest.mark.parametrize("twice", [False, True])
def test_a_host_with_thousands_of_jails_is_read_at_once(twice: bool) -> None:
    """A comparison of each with each would let a name be looked for for minutes."""
    names = [f"a{number}" for number in range(18_000)]
    listed = [{"jid": number, "name": name, "path": "/r"} for number, name in enumerate(names, 1)]
    begun = time.monotonic()
    if twice:
        with pytest.raises(FormatError, match="listed twice"):
            parse_jls(jls(*listed, {"jid": 99_999, "name": "a9", "path": "/other"}))
    else:
        assert len(parse_jls(jls(*listed))) == len(names)
    assert time.monotonic() - begun < 5


LISTED = {
    "JID": "7",
    "NAME": "acme",
    "BOOT": "off",
    "PRIO": "99",
    "STATE": "Up",
    "TYPE": "thin",
    "IP ADDRESS": "10.17.89.2",
    "PORTS": "-",
    "RELEASE": "14.3-RELEASE",
    "TAGS": "-",
}


def test_what_bastille_lists_is_read() -> None:
    down = {**LISTED, "NAME": "Other-1_x", "STATE": "Down", "JID": "-"}
    found = parse_list(json.dumps([LISTED, down]).encode())
    assert found == (ListedJail(name="Other-1_x", running=False), ListedJail(name="acme", running=True))
    assert parse_list(b"[]") == ()


@pytest.mark.parametrize(
    "change",
    [
        {"JID": 7},
        {"JID": "-"},
        {"STATE": "Down"},
        {"STATE": "n/a"},
        {"NAME": ""},
        {"NAME": "-acme"},
        {"NAME": "acme\n"},
        {"NAME": "../acme"},
        {"RELEASE": "x" * 1001},
        {"RELEASE": None},
        {"MORE": "x"},
    ],
    ids=str,
)
def test_what_bastille_does_not_list_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_list(json.dumps([{**LISTED, **change}]).encode())


def test_a_list_with_one_jail_twice_or_a_field_less_is_refused() -> None:
    less = {key: value for key, value in LISTED.items() if key != "TAGS"}
    for value in ([LISTED, LISTED], [less], {"bastille": []}, "acme"):
        with pytest.raises(FormatError):
            parse_list(json.dumps(value).encode())


# --- networks ------------------------------------------------------------------------------------------


def test_an_address_is_the_first_that_nobody_has() -> None:
    network = JailNetwork.parse("lo1:10.17.89.0/29")
    assert list(network.addresses()) == [f"10.17.89.{number}" for number in range(2, 7)]
    assert network.choose([]) == "10.17.89.2"
    assert network.choose(["10.17.89.2", "10.17.89.4"]) == "10.17.89.3"
    with pytest.raises(HostError, match="no address is left"):
        network.choose(list(network.addresses()))
    assert JailNetwork.parse("vnet:em0:DHCP").choose([]) is None
    assert JailNetwork.parse("bridge:br0:fd00::/112").choose([]) == "fd00::2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lo1",
        "lo1:",
        "lo1:DHCP",
        "lo1:10.17.89.1/29",
        "lo1:10.0.0.0/8",
        "lo1:10.17.89.0/29:x",
        "-B:10.17.89.0/29",
        "vnet:em0",
        "vnet:em 0:DHCP",
        "vnet:-x:DHCP",
        "tap:em0:DHCP",
        "inherit:lo1",
        "INHERIT",
    ],
)
def test_a_network_has_one_spelling(text: str) -> None:
    with pytest.raises(FormatError):
        JailNetwork.parse(text)


# --- limits --------------------------------------------------------------------------------------------


def test_rules_are_written_out_and_read_back() -> None:
    limits = Limits(memory_bytes=1 << 30, cpu_percent=150)
    text = "".join(
        f"{rule(ACME, resource, value)}\n"
        for resource, value in limits.by_resource().items()
        if value is not None
    )
    assert text == "jail:acme:memoryuse:deny=1073741824/jail\njail:acme:pcpu:deny=150/jail\n"
    assert parse_rules(text, ACME, where="rctl.conf") == limits
    assert parse_rules(text, parse_tenant_id("acme2"), where="rctl.conf") == Limits()
    assert (
        parse_rules("jail:acme:memoryuse:deny=1G/jail\njail:acme:swapuse:deny=1/jail\n", ACME, where="x")
        == Limits()
    )


def test_two_rules_for_one_thing_are_no_rule() -> None:
    with pytest.raises(FormatError, match="two rules"):
        parse_rules(f"{rule(ACME, 'maxproc', 7)}\n{rule(ACME, 'maxproc', 9)}\n", ACME, where="rctl.conf")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "7", 1 << 70])
def test_what_is_no_amount_is_no_limit(value: Any) -> None:
    with pytest.raises(UsageError):
        Limits(processes=value)


# --- lists of mounts -----------------------------------------------------------------------------------

ROOT = Path("/jails/acme/root")
THIN = b"/releases/14.3 /jails/acme/root/.bastille nullfs ro 0 0\n"


def test_a_mount_is_added_once_and_the_rest_is_kept() -> None:
    once = with_mount(b"# by hand\n" + THIN, Path("/shelf"), ROOT / "usr/skills", where="fstab")
    assert (
        once
        == b"# by hand\n" + THIN + b"/shelf /jails/acme/root/usr/skills nullfs ro,nosuid,nosymfollow 0 0\n"
    )
    assert with_mount(once, Path("/shelf"), ROOT / "usr/skills", where="fstab") == once
    assert with_mount(THIN[:-1], Path("/a"), ROOT / "b", where="x").startswith(THIN)
    assert places(parse_fstab(once, where="fstab"), ROOT) == (".bastille", "usr/skills")
    assert parse_fstab(THIN, where="x") == (
        Mounted(source="/releases/14.3", target="/jails/acme/root/.bastille"),
    )


@pytest.mark.parametrize("place", [".bastille", ".bastille/bin", "", "../root"])
def test_one_mount_does_not_cover_another(place: str) -> None:
    with pytest.raises((ConflictError, UnsafePathError)):
        with_mount(THIN, Path("/shelf"), ROOT / place, where="fstab")


@pytest.mark.parametrize("path", ["/a b", "/a\nb", "/a#", "/a\\040b", "/$HOME", "/ä", "a"])
def test_a_path_that_fstab_would_read_differently_is_refused(path: str) -> None:
    for source, target in ((Path(path), ROOT / "x"), (Path("/x"), ROOT.joinpath(path.strip("/")))):
        if source == Path("a") or not str(target).isprintable() or path != "a":
            with pytest.raises(UnsafePathError):
                with_mount(b"", source, target, where="fstab")


@pytest.mark.parametrize("line", [b"/a /b nullfs ro 0", b"/a /b nullfs ro 0 0 x", b"\xff"])
def test_what_is_no_list_of_mounts_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        parse_fstab(line, where="fstab")


@pytest.mark.parametrize("target", ["/etc", "/jails/acme", "/jails/acme/root2", "/jails/acme/root/../x"])
def test_a_mount_outside_of_the_jail_is_refused(target: str) -> None:
    with pytest.raises(FormatError, match="not in the jail"):
        places((Mounted(source="/x", target=target),), ROOT)


# --- which host ----------------------------------------------------------------------------------------

BASTILLE = {
    "jail_host": "bastille",
    "jail_root_base": "/usr/local/bastille/jails",
    "bastille_release": "14.3-RELEASE",
    "bastille_network": "lo1:10.17.89.0/24",
}


def test_the_configured_host_is_opened(tmp_path: Path) -> None:
    for name in (None, "directory"):
        host = open_host(HiveConfig(jail_host=name, jail_root_base=str(tmp_path)))
        assert isinstance(host, DirectoryHost)
        assert host.describe(ACME) == f"{tmp_path}/acme/root"
    bastille = open_host(HiveConfig(**BASTILLE))
    assert isinstance(bastille, BastilleHost)
    assert bastille.describe(ACME) == "/usr/local/bastille/jails/acme/root"
    assert bastille.bastille.program == "/usr/local/bin/bastille"


@pytest.mark.parametrize(
    "change",
    [
        {"jail_host": "docker"},
        {"jail_host": ""},
        {"jail_root_base": None},
        {"jail_root_base": "/usr/local/bastille"},
        {"jail_root_base": "jails"},
        {"bastille": "bastille"},
        {"bastille_release": None},
        {"bastille_release": "-T"},
        {"bastille_release": "../x"},
        {"bastille_network": None},
        {"bastille_network": "lo1"},
    ],
    ids=str,
)
def test_a_host_that_is_not_configured_whole_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((UsageError, FormatError)):
        open_host(HiveConfig(**{**BASTILLE, **change}))
