"""The tenant swaps a folder of the path with a link to the outside, as fast as the kernel allows.

renameat2(RENAME_EXCHANGE) makes the swap one step, so there is no moment in which the name is absent. Whoever checks a
path and then uses it loses within a few tries; that it does proves that the attacker works. `JailRoot` runs against the
same attacker, in all that it does, and never touches the outside.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hive.jails.contained import JailRoot
from hive.jails.directory import DirectoryHost
from repo_client.entries import UnsafePathError
from signing.errors import HostError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id

SECONDS = 3.0
# Long enough for a machine with one busy core; the first escape ends the wait.
PATIENCE = 30.0
HOME = "usr/home/agent"
BUNDLE = Bundle.build(
    pin=Pin.parse("web-search==1"),
    kind=Kind.SKILL,
    files={MemberPath("SKILL.md"): SourceFile(content=b"# Search\n")},
)

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


# --- what is done, by those who check a path and by us -----------------------------------------------------


def checked(root: Path) -> Path:
    """What many do: resolve, compare with the root, and go on by path."""
    folder = os.path.realpath(root / HOME)
    if os.path.commonpath([root, folder]) != str(root):
        raise PermissionError("outside the root")
    return Path(folder)


def naive_install(root: Path) -> None:
    temporary = checked(root) / ".env.tmp"
    temporary.write_bytes(b"KEY=1\n")
    temporary.replace(temporary.with_name(".env"))


def naive_tree(root: Path) -> None:
    folder = checked(root) / "web-search"
    folder.mkdir(exist_ok=True)
    (folder / "SKILL.md").write_bytes(b"# Search\n")


def naive_read(root: Path) -> bytes:
    return (checked(root) / "data").read_bytes()


def naive_digests(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in checked(root).iterdir() if path.name == "data"]


def naive_folder(root: Path) -> None:
    (checked(root) / "made").mkdir()


def naive_remove(root: Path) -> None:
    shutil.rmtree(checked(root) / "doomed")


@dataclass(frozen=True)
class Deed:
    """One thing that is done inside a jail. ``harmed`` says whether the outside, or what came from there, shows it."""

    naive: Callable[[Path], Any]
    ours: Callable[[JailRoot], Any]
    harmed: Callable[[Path, Any], bool]


def written(outside: Path, _: Any) -> bool:
    return any(
        (outside / "home/agent" / name).exists() for name in (".env", ".env.tmp", "web-search", "made")
    )


DEEDS = {
    "install a file": Deed(
        naive_install, lambda jail: jail.install_file(f"{HOME}/.env", b"KEY=1\n", mode=0o600), written
    ),
    "install a tree": Deed(
        naive_tree, lambda jail: jail.install_tree(HOME, "web-search", BUNDLE, replace=True), written
    ),
    "make a folder": Deed(
        naive_folder, lambda jail: jail.enter(f"{HOME}/made", create=True).close(), written
    ),
    "read a file": Deed(
        naive_read,
        lambda jail: jail.read_file(f"{HOME}/data", 100),
        lambda _, result: result == b"the host's",
    ),
    "read digests": Deed(
        naive_digests,
        lambda jail: [item.size for item in jail.digests([HOME]) if item.path == f"{HOME}/data"],
        lambda _, result: result in ([b"the host's"], [len(b"the host's")]),
    ),
    "remove a tree": Deed(
        naive_remove,
        lambda jail: jail.remove_tree(f"{HOME}/doomed"),
        lambda outside, _: not (outside / "home/agent/doomed/f").exists(),
    ),
}


# --- the race ----------------------------------------------------------------------------------------------


def furnish(outside: Path, home: int) -> None:
    """Put things where they were, outside by path and inside by a handle that no swap changes."""
    agent = outside / "home/agent"  # so that the path resolves outside, whichever level is swapped
    (agent / "doomed").mkdir(parents=True, exist_ok=True)
    (agent / "doomed/f").touch()
    (agent / "data").write_bytes(b"the host's")
    for name in (".env", ".env.tmp"):
        (agent / name).unlink(missing_ok=True)
    for name in ("web-search", "made"):
        shutil.rmtree(agent / name, ignore_errors=True)
    if "doomed" not in os.listdir(home):
        os.mkdir("doomed", dir_fd=home)
    os.close(os.open("data", os.O_CREAT, 0o600, dir_fd=home))
    with contextlib.suppress(FileNotFoundError):
        os.rmdir("made", dir_fd=home)


def race(deed: Deed, swapped: str, scratch: Path, *, naive: bool) -> Counter[str]:
    host = DirectoryHost(scratch / "jails")
    host.create(parse_tenant_id("acme"), mark="ours")
    root, outside = scratch / "jails/acme/root", scratch / "outside"
    (root / HOME).mkdir(parents=True)
    home = os.open(root / HOME, os.O_RDONLY)
    furnish(outside, home)
    before = sorted(outside.rglob("*"))
    decoy = (root / swapped).with_name(".decoy")
    decoy.symlink_to(outside if swapped == "usr" else outside / "home/agent")
    seen: Counter[str] = Counter()
    arguments = [sys.executable, "-c", ATTACKER, str(root / swapped), str(decoy), str(os.getpid())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as attacker:
        try:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"ready\n"
            end = time.monotonic() + (PATIENCE if naive else SECONDS)
            while time.monotonic() < end and not seen["harmed"]:
                seen["tries"] += 1
                result = None
                try:
                    if naive:
                        result = deed.naive(root)
                    else:
                        with JailRoot.open(root) as jail:
                            result = deed.ours(jail)
                    seen["done"] += 1
                except (OSError, UnsafePathError, HostError) as error:
                    seen[type(error).__name__] += 1
                seen["harmed"] += deed.harmed(outside, result)
                furnish(outside, home)
            assert attacker.poll() is None
        finally:
            attacker.kill()
            os.close(home)
    assert sorted(outside.rglob("*")) == before
    return seen


@pytest.mark.parametrize("swapped", [HOME, "usr"], ids=["last component", "first component"])
@pytest.mark.parametrize("deed", DEEDS)
def test_checking_the_path_loses_the_race(deed: str, swapped: str, tmp_path: Path) -> None:
    seen = race(DEEDS[deed], swapped, tmp_path, naive=True)
    assert seen["harmed"] == 1, seen


@pytest.mark.parametrize("swapped", [HOME, "usr"], ids=["last component", "first component"])
@pytest.mark.parametrize(
    "deed", [pytest.param(deed, marks=[] if deed == "install a file" else pytest.mark.slow) for deed in DEEDS]
)
def test_holding_handles_never_touches_the_outside(deed: str, swapped: str, tmp_path: Path) -> None:
    seen = race(DEEDS[deed], swapped, tmp_path, naive=False)
    assert seen["harmed"] == 0, seen
    # Both happened, so it did run while the folder was being swapped.
    assert seen["done"] > 0, seen
    assert seen["UnsafePathError"] > 0, seen
    # Nothing unfinished is left in the real folder, wherever it stands now.
    left = {path.name for path in (tmp_path / "jails/acme/root").rglob("*")}
    assert not any(name.startswith(".new-") for name in left)
