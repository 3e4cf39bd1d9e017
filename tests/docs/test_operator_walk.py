"""The walk of docs/operator.md on Linux is typed as it stands there: from nothing to a paying customer's active agent."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.walking import Typed, differences, section_of, typed_in, walk

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operator.md"
LINUX = "## Linux, from nothing"
NEEDED = ("bash", "curl", "install", "sha256sum")
# Agents are never root, and in plain folders they are whoever runs hive: for root, a user of a namespace of its own.
SOMEBODY = ("unshare", "--user", "--map-user=1001", "--map-group=1001")


def linux_walk() -> list[Typed]:
    return typed_in(section_of(PAGE, LINUX))


def begin() -> tuple[str, ...]:
    if os.getuid() != 0:
        return ()
    try:
        done = subprocess.run([*SOMEBODY, "true"], capture_output=True, check=False)
    except OSError:
        pytest.skip("root types this walk in a user namespace, and there is no unshare")
    if done.returncode != 0:
        pytest.skip(f"root types this walk in a user namespace: {done.stderr.decode()}")
    return SOMEBODY


def free_ports() -> tuple[str, str]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1]), str(other.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the walk is for Linux")
@pytest.mark.skipif(any(shutil.which(name) is None for name in NEEDED), reason=f"it needs {NEEDED}")
def test_the_linux_walk_works_as_written(tmp_path: Path) -> None:
    repository, service = free_ports()
    home = tmp_path / "home"
    home.mkdir()
    typed = [
        Typed(one.command.replace("8787", repository).replace("8099", service), one.seen)
        for one in linux_walk()
    ]
    status, said, everything = walk(
        typed,
        begin=begin(),
        cwd=ROOT,
        environment={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "TMPDIR": str(tmp_path),
        },
        seconds=600,
    )
    assert status == 0, everything
    for one, text in zip(typed, said, strict=True):
        assert differences(one, text) == [], f"$ {one.command}\n{text}"
    # It is over: the jail is gone, what a customer holds and what was recorded is not.
    assert not (home / "hive/jails/acme").exists()
    assert (home / "hive/acme.certificate.json").stat().st_size > 0


def test_the_linux_walk_leads_where_it_has_to() -> None:
    """What the walk shows of its end is what an operator came for; a page that drops it is no walk any more."""
    shown = {one.command: one.seen for one in linux_walk()}
    assert {"scratch        False", "status         active"} <= set(shown["hive show-tenant acme"])
    assert shown["hive gates check"] == ("all gates are open",)
    assert "--scratch" not in next(command for command in shown if command.startswith("hive register-tenant"))
    assert any("mother.sh" in command and "heartbeat" in command for command in shown)
    for verb in (
        "hive vault set",
        "hive serve",
        "skillrepo-client verify-birth",
        "hive sweep",
        "hive retire-tenant",
    ):
        assert any(verb in command for command in shown), verb


def test_an_answer_that_differs_is_noticed() -> None:
    typed = typed_in("```console\n$ a\nborn: acme\n…\n  lock  …\n$ b <<END\n> c\n> END\n```\n")
    assert [one.command for one in typed] == ["a", "b <<END\nc\nEND"]
    assert differences(typed[0], "born: acme\n x\n lock  9f\n") == []
    assert differences(typed[0], "born: somebody\nlock  9f\n") == ["born: acme"]
    assert differences(typed[0], "lock 9f\nborn: acme\n") == ["lock …"]
