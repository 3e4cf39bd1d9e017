"""Streaming into a running jail, with programs that misbehave: jls, jexec and pkg are executables of the test.

What the fake pkg got is written to a file, and whether it saw the end of its input to another: a package that is not
whole never ends for it.
"""

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.commands import CommandLimits
from hive.packages.install import install_package
from hive.packages.running import NamedJail, Programs, Way
from hive.packages.stream import stream_package
from signing.errors import DigestMismatchError, HostError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import AGENT, BASE, forged_bytes, large
from tests.support.world import World

BOAT = parse_tenant_id("boat")
QUICK = CommandLimits(gap=0.6, finish=2.0, output=1 << 16)
LARGE = [bytes([number]) * 100_000 for number in range(30)]

READ_ALL = """
data = sys.stdin.buffer.read()
here.joinpath("got").write_bytes(data)
here.joinpath("ended").write_text("yes")
"""


KEEP_AT_ONCE = """
total = b""
while piece := os.read(0, 65536):
    total += piece
    here.joinpath("got").write_bytes(total)
here.joinpath("ended").write_text("yes")
"""


@dataclass
class Machine:
    """A folder with fake programs."""

    folder: Path
    jail: NamedJail

    def program(self, name: str, body: str) -> Path:
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable} -S\nimport os, pathlib, signal, sys, time\n"
            f"here = pathlib.Path({str(self.folder)!r})\n"
            f"with here.joinpath('calls').open('a') as calls: print({name!r}, *sys.argv[1:], file=calls)\n{body}"
        )
        path.chmod(0o755)
        return path

    def jls(self, *jails: tuple[object, str], then: list[tuple[object, str]] | None = None) -> None:
        """Say that these jails run; and from the second call on, ``then``."""
        first, later = (
            json.dumps(
                {
                    "__version": "2",
                    "jail-information": {"jail": [{"jid": jid, "name": name} for jid, name in listed]},
                }
            )
            for listed in (list(jails), then if then is not None else list(jails))
        )
        self.program(
            "jls",
            "again = here.joinpath('asked'); print("
            f"{later!r} if again.exists() else {first!r}); again.write_text('')",
        )

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def got(self) -> bytes | None:
        path = self.folder / "got"
        return path.read_bytes() if path.exists() else None

    @property
    def ended(self) -> bool:
        return (self.folder / "ended").exists()

    def stream(self, pieces: Iterator[bytes] | None = None, limits: CommandLimits = QUICK) -> Any:
        return stream_package(self.jail, forged_bytes(pieces or iter(LARGE)), limits=limits)

    def refused(self, part: str, pieces: Iterator[bytes] | None = None) -> HostError:
        begun = time.monotonic()
        with pytest.raises(HostError) as caught:
            self.stream(pieces)
        assert part in str(caught.value)
        assert time.monotonic() - begun < 10
        return caught.value


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "machine"
    folder.mkdir()
    programs = Programs(
        jls=str(folder / "jls"),
        jexec=str(folder / "jexec"),
        pkg=str(folder / "pkg"),
        jail_pkg="/usr/local/sbin/pkg",
    )
    machine = Machine(folder, NamedJail(tenant_id=BOAT, way=Way.HOST, programs=programs, seconds=2.0))
    machine.jls((7, "boat"))
    machine.program("pkg", READ_ALL)
    return machine


def test_every_byte_goes_to_pkg_on_its_standard_input(machine: Machine) -> None:
    placed = machine.stream()
    assert machine.got == b"".join(LARGE)
    assert machine.ended
    assert (placed.way, placed.jail) == ("streamed", "boat (jid 7)")
    asked = "jls --libxo json -j boat jid name"
    assert machine.calls == [asked, "pkg -j boat add -", asked]


def test_the_jails_own_pkg_is_asked_by_jexec(machine: Machine) -> None:
    machine.jail = replace(machine.jail, way=Way.JAIL)
    machine.program("jexec", READ_ALL)
    machine.stream()
    assert machine.calls[1] == (
        "jexec -l -U root boat /usr/bin/env REPOS_DIR=/var/empty /usr/local/sbin/pkg add -"
    )
    assert machine.got == b"".join(LARGE)


def test_nothing_of_our_environment_reaches_pkg(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKG_CACHEDIR", "/tmp/evil")
    monkeypatch.setenv("BW_SESSION", "secret")
    monkeypatch.setenv("REPOS_DIR", "/tmp/evil")
    machine.program("pkg", f"here.joinpath('env').write_text(repr(dict(os.environ)))\n{READ_ALL}")
    machine.stream()
    environment = eval((machine.folder / "env").read_text())
    environment.pop("LC_CTYPE", None)  # Python's own, in the fake
    assert environment == {
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "REPOS_DIR": "/var/empty",
    }


@pytest.mark.parametrize(
    "jails",
    [
        [],
        [(7, "boat2")],
        [(7, "boa")],
        [(7, "BOAT")],
        [(7, "host.boat")],
        [(7, "boat"), (8, "boat")],
        [(0, "boat")],
        [(-1, "boat")],
        [("x", "boat")],
        [(None, "boat")],
    ],
    ids=["none", "longer", "prefix", "case", "child", "two", "zero", "negative", "words", "null"],
)
def test_a_jail_that_is_not_exactly_this_one(machine: Machine, jails: list[tuple[object, str]]) -> None:
    machine.jls(*jails)
    with pytest.raises(HostError):
        machine.stream()
    assert machine.got is None
    assert not any(call.startswith("pkg") for call in machine.calls)


@pytest.mark.parametrize(
    "body",
    [
        "sys.exit(1)",
        "print('not json')",
        "print('[]')",
        "print('{}')",
        "print('[' * 100000)",
        'print(\'{"jail-information": {"jail": 7}}\')',
        "while True: print('x' * 65536)",
        "time.sleep(60)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
    ids=["fails", "words", "list", "empty", "deep", "number", "endless", "hangs", "dies"],
)
def test_a_jls_that_misbehaves(machine: Machine, body: str) -> None:
    machine.program("jls", body)
    with pytest.raises(HostError):
        machine.stream()
    assert not any(call.startswith("pkg") for call in machine.calls)


def test_no_jls_at_all(machine: Machine) -> None:
    (machine.folder / "jls").unlink()
    machine.refused("does not run, or cannot be asked for")


@pytest.mark.parametrize(
    ("then", "part"),
    [([(8, "boat")], "is number 8 now"), ([], "no single jail is called")],
    ids=["restarted", "vanished"],
)
def test_a_jail_that_is_another_one_afterwards(
    machine: Machine, then: list[tuple[object, str]], part: str
) -> None:
    machine.jls((7, "boat"), then=then)
    machine.refused(part)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("sys.stdin.buffer.read(); print('no\\x1b[2Jway'); sys.exit(3)", "status 3: no\\x1b[2Jway"),
        ("sys.exit(1)", "status 1"),
        ("sys.exit(0)", "did not read all"),
        ("sys.stdin.buffer.read(70000); sys.exit(0)", "did not read all"),
        ("time.sleep(60)", "took too long"),
        ("sys.stdin.buffer.read(1); time.sleep(60)", "took too long"),
        ("os.close(0); time.sleep(60)", "took too long"),
        ("os.close(0); sys.exit(0)", "did not read all"),
        ("sys.stdin.buffer.read(); time.sleep(60)", "took too long"),
        ("while True: sys.stdout.write('x' * 4096)", "prints too much"),
        ("while True: sys.stderr.write('x' * 4096)", "prints too much"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "status -9"),
        ("sys.stdin.buffer.read(); os.kill(os.getpid(), signal.SIGSEGV)", "status -11"),
    ],
    ids=[
        "fails",
        "fails at once",
        "reads nothing",
        "reads a part",
        "hangs",
        "hangs later",
        "closes its input and hangs",
        "closes its input",
        "hangs at the end",
        "prints without end",
        "complains without end",
        "dies",
        "dies at the end",
    ],
)
def test_a_pkg_that_misbehaves(machine: Machine, body: str, part: str) -> None:
    machine.program("pkg", body)
    machine.refused(part)
    assert len([call for call in machine.calls if call.startswith("jls")]) == 1


def test_a_pkg_that_reads_for_ever(machine: Machine) -> None:
    """Always a little, so that nobody calls it silent."""
    machine.program("pkg", "while os.read(0, 4096): time.sleep(0.1)")
    begun = time.monotonic()
    with pytest.raises(HostError, match="too long"):
        machine.stream(limits=CommandLimits(gap=5, finish=5, total=1))
    assert time.monotonic() - begun < 5


def test_a_small_package_that_is_not_read(machine: Machine) -> None:
    """It fits into the pipe, so every write succeeds; what was not taken out of it is counted."""
    machine.program("pkg", "sys.exit(0)")
    machine.refused("did not read all", iter([b"small"]))


def test_what_a_killed_pkg_started_is_killed_too(machine: Machine) -> None:
    body = (
        "child = os.fork()\n"
        "here.joinpath('child' if child == 0 else 'parent').write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    machine.program("pkg", body)
    machine.refused("took too long")
    for name in ("child", "parent"):
        pid, end = int((machine.folder / name).read_text()), time.monotonic() + 10
        while runs(pid) and time.monotonic() < end:
            time.sleep(0.02)  # the signal was sent; a busy machine takes a moment to carry it out
        assert not runs(pid)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_keeps_the_output_open_does_not_hold_us(machine: Machine) -> None:
    machine.program("pkg", f"{READ_ALL}\nif os.fork() == 0: time.sleep(60)\n")
    begun = time.monotonic()
    machine.stream()
    assert time.monotonic() - begun < 5


def test_no_pkg_at_all(machine: Machine) -> None:
    (machine.folder / "pkg").unlink()
    machine.refused("cannot start")


def test_a_file_that_changes_while_it_is_streamed(machine: Machine) -> None:
    """The last piece is never handed over, and pkg is killed before it could take what it has for a package."""

    def pieces() -> Iterator[bytes]:
        yield from LARGE[:-1]
        raise DigestMismatchError("the file was changed")

    machine.program(
        "pkg",
        "total = b''\n"
        "while piece := os.read(0, 65536):\n"
        "    total += piece\n"
        "    here.joinpath('got').write_bytes(total)\n"
        "here.joinpath('ended').write_text('yes')\n",
    )
    with pytest.raises(DigestMismatchError):
        machine.stream(pieces())
    time.sleep(0.2)
    assert not machine.ended
    assert b"".join(LARGE).startswith(machine.got or b"")
    assert len(machine.got or b"") <= len(b"".join(LARGE[:-1]))


# --- with a genuine admission ----------------------------------------------------------------------


class StreamingHost:
    """A host whose jails run: the streaming half of one."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def install_package(self, given: AdmittedBytes) -> Any:
        return stream_package(self._machine.jail, given, limits=QUICK)


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


def admitted(harbour: Harbour) -> Any:
    from hive.birth.admit_all import admit_all

    mother = harbour.scene.mother
    return admit_all(
        harbour.scene.tenant("boat"),
        mother.client,
        opt_ins=[],
        external_dir=mother.external_dir,
        pantry=mother.pantry,
        clock=mother.clock,
    )


def test_the_receipt_is_about_what_was_streamed(harbour: Harbour, machine: Machine) -> None:
    host: Any = StreamingHost(machine)
    with admitted(harbour) as given:
        for admission, data in zip(given.packages, (BASE, AGENT), strict=True):
            receipt = install_package(host, BOAT, admission, now=harbour.scene.mother.clock())
            assert machine.got == data
            assert (receipt.sha256, receipt.size) == (sha256_of(data), len(data))
            assert receipt.placed.jail == "boat (jid 7)"


def test_a_package_admitted_for_another_tenant(harbour: Harbour, machine: Machine) -> None:
    host: Any = StreamingHost(machine)
    with admitted(harbour) as given, pytest.raises(WrongSubjectError):
        install_package(host, parse_tenant_id("acme"), given.packages[0], now=harbour.scene.mother.clock())
    assert machine.calls == []


def test_a_host_that_takes_a_part_gets_no_receipt(harbour: Harbour) -> None:
    class Lazy:
        def install_package(self, given: object) -> None:
            return None

    host: Any = Lazy()
    with admitted(harbour) as given, pytest.raises(HostError, match="only 0 of"):
        install_package(host, BOAT, given.packages[0], now=harbour.scene.mother.clock())


def test_a_package_swapped_in_the_store_is_not_streamed(harbour: Harbour, machine: Machine) -> None:
    """Same file, same size, another byte: nothing of it reaches pkg."""
    host: Any = StreamingHost(machine)
    with admitted(harbour) as given:
        path = harbour.store / f"{sha256_of(BASE)}.pkg"
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        path.chmod(0o600)
        forged = bytearray(BASE)
        forged[10] ^= 1
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, forged)
        os.close(descriptor)
        with pytest.raises(DigestMismatchError):
            install_package(host, BOAT, given.packages[0], now=harbour.scene.mother.clock())
    assert machine.got is None
    assert not machine.ended


@pytest.mark.parametrize(("at", "pieces"), [(0, 0), (100, 0), (1 << 20, 1), ((3 << 20) + 7, 3), (-1, 3)])
def test_no_altered_byte_of_a_large_package_reaches_pkg(
    harbour: Harbour, machine: Machine, at: int, pieces: int
) -> None:
    """pkg runs a package's scripts when it has read its beginning: a digest at the end would come too late."""
    data = large()
    harbour.arrange(data)
    machine.program("pkg", KEEP_AT_ONCE)
    host: Any = StreamingHost(machine)
    with admitted(harbour) as given:
        path = harbour.store / f"{sha256_of(data)}.pkg"
        path.chmod(0o600)
        forged = bytearray(data)
        forged[at] ^= 1
        with path.open("r+b") as stream:
            stream.write(forged)
        with pytest.raises(DigestMismatchError):
            install_package(host, BOAT, given.packages[0], now=harbour.scene.mother.clock())
    time.sleep(0.2)
    assert data[: pieces << 20].startswith(machine.got or b"")
    assert not machine.ended


def test_a_file_that_grew_since_is_streamed_as_it_was_verified(harbour: Harbour, machine: Machine) -> None:
    data = large()
    harbour.arrange(data)
    host: Any = StreamingHost(machine)
    with admitted(harbour) as given:
        path = harbour.store / f"{sha256_of(data)}.pkg"
        path.chmod(0o600)
        with path.open("ab") as stream:
            stream.write(b"more")
        receipt = install_package(host, BOAT, given.packages[0], now=harbour.scene.mother.clock())
    assert machine.got == data
    assert receipt.sha256 == sha256_of(data)


def test_bytes_that_nobody_admitted_are_streamed_to_nobody(harbour: Harbour, machine: Machine) -> None:
    """At run time too, and not only for mypy: bytes, an iterator, a look-alike, and somebody else's admission."""

    class Lookalike:
        admission = None
        size, sha256 = len(BASE), sha256_of(BASE)

        def __iter__(self) -> Iterator[bytes]:
            return iter([BASE])

    for given in (BASE, iter([BASE]), [BASE], Lookalike(), None):
        with pytest.raises(TypeError):
            stream_package(machine.jail, given, limits=QUICK)  # type: ignore[arg-type]
    with admitted(harbour) as mine:
        for no_admission in (mine.packages[0].package, mine, BASE, Lookalike(), None):
            with pytest.raises(TypeError):
                AdmittedBytes(no_admission)
        with pytest.raises(WrongSubjectError):
            stream_package(
                replace(machine.jail, tenant_id=parse_tenant_id("acme")), AdmittedBytes(mine.packages[0])
            )
    assert machine.calls == []


def test_a_package_that_was_closed_is_not_read_from_another_file(harbour: Harbour, tmp_path: Path) -> None:
    """The number of a closed descriptor may belong to another file by then."""
    with admitted(harbour) as given:
        admission = given.packages[0]
    other = (tmp_path / "other").open("wb+")
    with other, pytest.raises(HostError):
        list(AdmittedBytes(admission))
