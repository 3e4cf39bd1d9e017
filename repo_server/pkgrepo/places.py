"""Where things stand in the published tree of packages: names, and the words of the one link (edge).

    FreeBSD:14:amd64/latest -> ../serials/FreeBSD:14:amd64/latest/7

The link is the only one in the tree. Whoever serves it reads it and believes nothing but this spelling of it.
"""

import re
from pathlib import Path
from typing import Final

from signing.format.pkg.names import PackageRepo

SERIALS: Final = "serials"
BY_SHA256: Final = "by-sha256"
FINGERPRINTS: Final = "fingerprints"
VULNERABILITIES: Final = "vuln.xml"
OLD: Final = ".old-"  # being removed
_TARGET: Final = re.compile(r"\.\./serials/([^/]+)/([^/]+)/([1-9][0-9]{0,15})", re.ASCII)


def serial_folder(pkg_root: Path, repo: PackageRepo, serial: int) -> Path:
    """Return where a serial of ``repo`` is published."""
    return pkg_root / SERIALS / repo.abi / repo.channel / str(serial)


def fingerprints_folder(pkg_root: Path, repo: PackageRepo) -> Path:
    """Return where the fingerprints for clients of ``repo`` are offered."""
    return pkg_root / FINGERPRINTS / repo.abi / repo.channel


def link_text(repo: PackageRepo, serial: int) -> str:
    """Return what the link of ``repo`` holds when ``serial`` is served."""
    return f"../{SERIALS}/{repo.abi}/{repo.channel}/{serial}"


def serial_of_link(repo: PackageRepo, text: str) -> int | None:
    """Return the serial of ``repo`` that a link holding ``text`` serves; None for any other link."""
    match = _TARGET.fullmatch(text)
    return int(match[3]) if match and (match[1], match[2]) == (repo.abi, repo.channel) else None


def served_serial(pkg_root: Path, repo: PackageRepo) -> int | None:
    """Return the serial to which the link of ``repo`` points; None when there is none."""
    try:
        return serial_of_link(repo, str((pkg_root / repo.abi / repo.channel).readlink()))
    except OSError:
        return None
