"""The self-test of containment: an attacker and an installer on this host's own file system (edge).

A child swaps a folder of the way with a link to the outside, as fast as it can (reference/containment-and-admission
§2). First an installer that checks the path and then uses it writes against it, until it has written outside:
that proves that the attacker works here. Then `JailRoot` writes against the same attacker, and never once outside.
Besides, what a tenant can plant beforehand. A test in which the attacker never won proves nothing, and says so.
"""

import contextlib
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hive.jails.contained import JailRoot
from repo_client.entries import UnsafePathError
from signing.errors import HostError, SkillRepoError

# What decides whether a write stays inside; a test of other bytes than these does not count.
_DECISIVE: Final = ("hive.jails.contained", "repo_client.entries", "repo_client.handles", "repo_client.trees")
_HOME: Final = "usr/home/agent"
_SWAPPER: Final = Path(__file__).with_name("swapper.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long the test takes at most: seconds until the attacker has won, and seconds that we withstand it."""

    until_won: float = 30.0
    withstood: float = 5.0


def program_digest() -> str:
    """Return the digest of the code that decides whether a write stays inside a jail."""
    digest = sha256()
    for name in _DECISIVE:
        source = importlib.import_module(name).__file__
        if source is None:
            raise HostError(f"the source of {name} is not there")
        content = Path(source).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def attack_containment(base: Path, duration: Duration) -> dict[str, Any]:
    """Return the report of a test below ``base``, where the jails stand.

    Raises:
        HostError: something was written outside, or the attacker never won, so nothing is proven.
    """
    base.mkdir(mode=0o755, parents=True, exist_ok=True)  # before the first birth there may be none
    scratch = Path(tempfile.mkdtemp(prefix=".self-test-", dir=base))
    try:
        planted = _planted(scratch)
        naive = _race(scratch / "naive", _naive, seconds=duration.until_won, until_escape=True)
        if not naive["escaped"]:
            raise HostError(
                f"the attacker did not win against a naive installer in {naive['tries']} tries: nothing is proven",
                hint="run it again, on a host that is less busy",
            )
        ours = _race(scratch / "ours", _contained, seconds=duration.withstood, until_escape=False)
        if ours["escaped"]:
            raise HostError(
                f"{ours['escaped']} writes escaped: no tenant may live here", hint="report this to us"
            )
        if not ours["written"] or not ours["refused"]:
            raise HostError("attacker and installer never met: nothing is proven", hint="run it again")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return {
        "test": "containment",
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "program_sha256": program_digest(),
        "planted": planted,
        "naive": dict(naive),
        "contained": dict(ours),
    }


def render_report(report: dict[str, Any]) -> bytes:
    """Return the report as it is kept."""
    return (json.dumps(report, indent=2, sort_keys=True) + "\n").encode()


def _planted(scratch: Path) -> list[str]:
    """Write where a tenant has planted something; return what was tried. What it points to stays as it was."""
    outside = scratch / "outside"
    outside.mkdir()
    tried = []
    for kind, plant in _PLANTS.items():
        root = scratch / kind.replace(" ", "-")
        (root / _HOME).mkdir(parents=True)
        root.chmod(0o755)
        victim = outside / kind.replace(" ", "-")
        victim.write_text("untouched")
        before = victim.stat()
        plant(root, victim)
        with contextlib.suppress(SkillRepoError):  # refusing is as good as replacing
            _contained(root, b"KEY=planted\n")
        after = victim.stat()
        if victim.read_text() != "untouched" or (before.st_mode, before.st_uid) != (
            after.st_mode,
            after.st_uid,
        ):
            raise HostError(
                f"a planted {kind} led outside: no tenant may live here", hint="report this to us"
            )
        tried.append(kind)
    if sorted(path.name for path in outside.iterdir()) != sorted(kind.replace(" ", "-") for kind in tried):
        raise HostError("something planted led outside: no tenant may live here", hint="report this to us")
    return tried


def _plant_link(root: Path, victim: Path) -> None:
    (root / _HOME / ".env").symlink_to(victim)


def _plant_hard_link(root: Path, victim: Path) -> None:
    (root / _HOME / ".env").hardlink_to(victim)


def _plant_fifo(root: Path, victim: Path) -> None:
    del victim
    os.mkfifo(root / _HOME / ".env")


def _plant_folder_link(root: Path, victim: Path) -> None:
    (root / _HOME).rmdir()
    (root / _HOME).symlink_to(victim.parent)


def _plant_parent_link(root: Path, victim: Path) -> None:
    shutil.rmtree(root / "usr")
    (root / "usr").symlink_to(victim.parent)


_PLANTS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "link": _plant_link,
    "hard link": _plant_hard_link,
    "fifo": _plant_fifo,
    "folder link": _plant_folder_link,
    "parent link": _plant_parent_link,
}


def _naive(root: Path, content: bytes) -> None:
    folder = os.path.realpath(root / _HOME)
    if os.path.commonpath([root.resolve(), folder]) != str(root.resolve()):
        raise PermissionError("outside the root")
    temporary = Path(folder, ".env.tmp")
    temporary.write_bytes(content)
    temporary.replace(Path(folder, ".env"))


def _contained(root: Path, content: bytes) -> None:
    with JailRoot.open(root) as jail:
        jail.install_file(f"{_HOME}/.env", content, mode=0o600)


def _race(
    scratch: Path, install: Callable[[Path, bytes], None], *, seconds: float, until_escape: bool
) -> Counter[str]:
    root, outside = scratch / "root", scratch / "outside"
    (root / _HOME).mkdir(parents=True)
    root.chmod(0o755)
    outside.mkdir()
    decoy = root / "usr/home/.decoy"
    decoy.symlink_to(outside)
    seen: Counter[str] = Counter(tries=0, written=0, refused=0, escaped=0)
    argv = [sys.executable, "-I", str(_SWAPPER), str(root / _HOME), str(decoy), str(os.getpid())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={}) as swapper:
        try:
            if swapper.stdout is None or swapper.stdout.readline() != b"ready\n":
                raise HostError("the attacker did not start: nothing is proven")
            end = time.monotonic() + seconds
            while time.monotonic() < end and not (until_escape and seen["escaped"]):
                seen["tries"] += 1
                try:
                    install(root, b"KEY=%d\n" % seen["tries"])
                    seen["written"] += 1
                except (OSError, UnsafePathError, HostError):
                    seen["refused"] += 1
                seen["escaped"] += _cleared(outside)
            if swapper.poll() is not None:
                raise HostError("the attacker died: nothing is proven")
        finally:
            swapper.kill()
    return seen


def _cleared(outside: Path) -> int:
    found = [path for path in outside.iterdir() if path.is_file()]
    for path in found:
        path.unlink(missing_ok=True)
    return int(bool(found))
