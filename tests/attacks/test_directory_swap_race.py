"""The tenant swaps a folder of the path with a link to the outside, as fast as the kernel allows.

renameat2(RENAME_EXCHANGE) makes the swap one step, so there is no moment in which the name is absent. An
installer that checks a path and then uses it loses within a few tries; that it does proves that the attacker
works. `JailRoot` runs against the same attacker and never writes outside.
"""

import ctypes
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.jails.contained import JailRoot
from hive.jails.directory import DirectoryHost
from repo_client.entries import UnsafePathError
from signing.format.names import parse_tenant_id

SECONDS = 2.0
# Long enough for a machine with one busy core; the first escape ends the wait.
PATIENCE = 30.0
HOME = "usr/home/agent"

ATTACKER = """
import ctypes, os, sys
exchange = ctypes.CDLL(None).renameat2
first, second = (os.fsencode(path) for path in sys.argv[1:3])
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):  # never outlives the test
    for _ in range(200):
        exchange(-100, first, -100, second, 2)
"""


def has_renameat2() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "renameat2")


pytestmark = pytest.mark.skipif(
    not has_renameat2(), reason="the attacker needs renameat2(RENAME_EXCHANGE), which only Linux has"
)


def naive_install(root: Path, content: bytes) -> None:
    """What many installers do: resolve, compare with the root, write by path."""
    folder = os.path.realpath(root / HOME)
    if os.path.commonpath([root, folder]) != str(root):
        raise PermissionError("outside the root")
    temporary = Path(folder, ".env.tmp")
    temporary.write_bytes(content)
    temporary.replace(Path(folder, ".env"))


def contained_install(root: Path, content: bytes) -> None:
    with JailRoot.open(root) as jail:
        jail.install_file(f"{HOME}/.env", content, mode=0o600)


def escaped(outside: Path) -> bool:
    found = [Path(folder, name) for folder, _, names in os.walk(outside) for name in names]
    for path in found:
        path.unlink()
    return bool(found)


def race(
    install: Callable[[Path, bytes], None], swapped: str, scratch: Path, *, until_escape: bool
) -> Counter[str]:
    host = DirectoryHost(scratch / "jails")
    host.create(parse_tenant_id("acme"), mark="ours")
    root, outside = scratch / "jails/acme/root", scratch / "outside"
    (root / HOME).mkdir(parents=True)
    (outside / "home/agent").mkdir(parents=True)  # so that the path resolves outside at either level
    decoy = (root / swapped).with_name(".decoy")
    decoy.symlink_to(outside)
    seen: Counter[str] = Counter()
    arguments = [sys.executable, "-c", ATTACKER, str(root / swapped), str(decoy), str(os.getpid())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as attacker:
        try:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"ready\n"
            end = time.monotonic() + (PATIENCE if until_escape else SECONDS)
            while time.monotonic() < end and not (until_escape and seen["escaped"]):
                seen["tries"] += 1
                try:
                    install(root, b"KEY=%d\n" % seen["tries"])
                    seen["written"] += 1
                except (OSError, UnsafePathError) as error:
                    seen[type(error).__name__] += 1
                seen["escaped"] += escaped(outside)
            assert attacker.poll() is None
        finally:
            attacker.kill()
    assert sorted(path.name for path in outside.rglob("*")) == (["agent", "home"])
    return seen


@pytest.mark.parametrize("swapped", [HOME, "usr"], ids=["last component", "first component"])
def test_checking_the_path_loses_the_race(swapped, tmp_path):
    seen = race(naive_install, swapped, tmp_path, until_escape=True)
    assert seen["escaped"] == 1, seen


@pytest.mark.parametrize("swapped", [HOME, "usr"], ids=["last component", "first component"])
def test_holding_handles_never_writes_outside(swapped, tmp_path):
    seen = race(contained_install, swapped, tmp_path, until_escape=False)
    assert seen["escaped"] == 0, seen
    # Both happened, so the installer did run while the folder was being swapped.
    assert seen["written"] > 0, seen
    assert seen["UnsafePathError"] > 0, seen
    # Nothing unfinished is left in the real folder, wherever it stands now.
    left = {path.name for path in (tmp_path / "jails/acme/root").rglob("*")}
    assert not any(name.startswith(".new-") for name in left)
