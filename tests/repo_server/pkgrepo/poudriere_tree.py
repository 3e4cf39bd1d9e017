"""The tree of a poudriere host, with the links that git does not keep."""

import shutil
from pathlib import Path

from tests.repo_server.pkgrepo.signing_keys import DATA

MASTER = "143amd64-clawdie"
NAME = "2026-11-22_12h00m00s"
LINKS = (
    ".latest",
    ".buildname",
    ".jailversion",
    "All",
    "data.pkg",
    "files.pkg",
    "meta",
    "meta.conf",
    "packagesite.pkg",
)


def make_tree(folder: Path) -> Path:
    """Copy the tree to ``folder`` with real links and return the folder of packages."""
    shutil.copytree(DATA / "poudriere" / "data", folder)
    packages = folder / "packages" / MASTER
    for name in LINKS:
        _relink(packages / name)
    for name in ("latest", "latest-done"):
        _relink(folder / "logs" / "bulk" / MASTER / name)
    return packages


def logs_of(packages: Path) -> Path:
    return packages.parents[1] / "logs" / "bulk" / MASTER / NAME


def hook_environment(name: str, packages: Path) -> tuple[list[str], dict[str, str]]:
    """Return the recorded arguments and environment of a hook, for the tree at ``packages``."""
    lines = (DATA / "poudriere" / f"hook-env-{name}.txt").read_text().splitlines()
    here = str(packages.parents[1])
    told = [line.replace("/usr/local/poudriere/data", here) for line in lines if not line.startswith("#")]
    words = next(line for line in told if line.startswith("argv: ")).removeprefix("argv: ").split(" ")
    return words, dict(line.split("=", 1) for line in told if not line.startswith("argv: "))


def _relink(path: Path) -> None:
    if path.is_symlink():
        return
    target = path.read_text().strip()
    path.unlink()
    path.symlink_to(target)
