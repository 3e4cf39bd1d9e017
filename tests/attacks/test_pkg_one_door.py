"""One way into a jail: who writes below a jail's root is a short list, and what it takes is an admission.

mypy says so before a test does (`test_mypy_refuses_what_nobody_admitted`); and whoever does not ask mypy gets a TypeError.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.install import install_package
from hive.packages.unpack import unpack_package
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import BASE, FINGERPRINT
from tests.support.world import World, now

ROOT = Path(__file__).parents[2]
BOAT = parse_tenant_id("boat")

# What makes or changes something below a jail's root, or runs a program; and who calls it.
WRITERS = {
    "install_tree": {"hive.jails.materialise"},
    "install_file": {
        "hive.gates.self_test",  # into a jail that it makes for its own attack
        "hive.jails.materialise",
        "hive.packages.jail_config",
        "hive.vault.env_file",
    },
    "create_file": {"hive.host_key", "hive.packages.staging", "hive.packages.unpack", "hive.jails.directory"},
    # Beside hive.jails.contained, all of these write into folders of the host itself.
    "write_file": {
        "hive.cli.audit",
        "hive.documents",
        "hive.host_key",
        "hive.jails.bastille",
        "hive.jails.bastille_notes",
        "hive.jails.contained",
        "hive.jails.directory",
        "hive.optins",
        "hive.vault.sealed",
    },
    "write_tree": {"hive.jails.contained"},
    "make_folder": {"hive.packages.placing", "hive.packages.unpack"},
    "make_link": {"hive.packages.placing"},
    "name_again": {"hive.packages.placing"},
    "set_mode": {"hive.packages.placing"},
    "rename": {"hive.gates.swapper", "hive.jails.directory"},
    "run_command": {"hive.jails.bastille_commands", "hive.packages.running", "hive.packages.stream"},
    "stage": {"hive.packages.unpack"},
    "Placing": {"hive.packages.unpack"},
    "unpack_package": {"hive.jails.directory"},
    "stream_package": {"hive.jails.bastille"},
    "install_package": {"hive.birth.carry_out", "hive.packages.install"},
    "install_skill": {"hive.birth.carry_out"},
    "install_identity": {"hive.birth.carry_out"},
    "install_lock": {"hive.birth.carry_out"},
    "install_jail_files": {"hive.birth.carry_out"},
    "PackageAdmission": {"hive.admission"},
    "Admission": {"hive.admission"},
    "AdmittedBytes": {"hive.packages.install"},
}
# The world's own words for the same; `repo_client` has the handles, and hive uses nothing else.
RAW = {
    "link",
    "symlink",
    "mknod",
    "mkfifo",
    "chown",
    "fchown",
    "fchmod",
    "copy",
    "copytree",
    "copyfile",
    "Popen",
}


def calls(name: str) -> Iterator[tuple[str, str]]:
    """Yield the called name and the module, for every call in the package ``name``."""
    for path in sorted((ROOT / name).rglob("*.py")):
        module = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                yield called, module


def test_who_writes_into_a_jail_is_a_short_list() -> None:
    found: dict[str, set[str]] = {name: set() for name in WRITERS}
    for called, module in calls("hive"):
        if called in found:
            found[called].add(module)
    assert found == WRITERS


def test_nobody_in_the_hive_goes_past_the_handles() -> None:
    found = {(called, module) for called, module in calls("hive") if called in RAW}
    assert found == {
        ("Popen", "hive.packages.commands"),
        ("Popen", "hive.agents.command"),  # a lane's command; no jail is its business
        ("Popen", "hive.vault.bw_command"),
        ("Popen", "hive.gates.self_test"),  # the attacker, and what it plants in a jail of its own
        ("mkfifo", "hive.gates.self_test"),
        ("link", "hive.private_files"),  # a key of the host's
        ("copytree", "hive.doctor.services"),  # metadata, to be looked at in a copy
    }


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


class Lookalike:
    """Everything that a host asks of admitted bytes, and nobody's word for it."""

    def __init__(self, admission: Any) -> None:
        self.admission, self.pin, self.tenant = admission, admission.pin, admission.tenant
        self.package, self.size, self.sha256 = admission.package, len(BASE), FINGERPRINT

    def __iter__(self) -> Iterator[bytes]:
        return iter([BASE])

    def __next__(self) -> bytes:
        return b""


def test_a_lookalike_is_installed_nowhere(harbour: Harbour) -> None:
    from tests.hive.packages.test_unpack import admitted

    class Inherited(AdmittedBytes):  # type: ignore[misc]
        def __next__(self) -> bytes:
            return b"evil"

    host: Any = harbour.scene.mother.host
    with admitted(harbour) as (base, _):
        lookalike: Any = Lookalike(base)
        with host.open_root(BOAT) as root:
            for given in (lookalike, base, base.package, BASE, iter([BASE]), None, Inherited(base)):
                with pytest.raises(TypeError):
                    host.install_package(given)
                with pytest.raises(TypeError):
                    unpack_package(root, "boat", given)
            for given in (lookalike, base.package, BASE, None):
                with pytest.raises(TypeError):
                    install_package(host, BOAT, given, now=now())
            assert root.listing() == ()


REFUSED_BY_MYPY = """
from collections.abc import Iterator
from datetime import datetime
from hive.admission import PackageAdmission, admit
from hive.jails.host import JailHost
from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.install import install_package
from hive.packages.running import RunningJail
from hive.packages.stream import stream_package
from hive.packages.jail_config import jail_files
from signing.format.names import TenantId
from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.package_evidence import VerifiedPackage, verify_package_again

def f(
    host: JailHost, tenant: TenantId, now: datetime, jail: RunningJail, raw: bytes, pieces: Iterator[bytes],
    listed: IndexedPackage, verified: VerifiedPackage, index: RepoIndex, admitted: PackageAdmission,
) -> None:
    install_package(host, tenant, admitted, now=now)  # fine
    install_package(host, tenant, verified, now=now)
    install_package(host, tenant, raw, now=now)
    install_package(host, tenant, listed, now=now)
    host.install_package(AdmittedBytes(admitted))  # fine
    host.install_package(admitted)
    host.install_package(pieces)
    AdmittedBytes(verified)
    AdmittedBytes(pieces)
    stream_package(jail, AdmittedBytes(admitted))  # fine
    stream_package(jail, pieces)
    stream_package(jail, verified.stream())
    verify_package_again(listed, packages=verified.packages)
    verify_package_again(verified, packages=index)
    jail_files(index, "")
    PackageAdmission(tenant=admitted.tenant, package=verified, record={})
    verified.package = listed
"""


@pytest.mark.slow
def test_mypy_refuses_what_nobody_admitted(tmp_path: Path) -> None:
    """Each line that is not fine is an error, and each that is fine is none."""
    (tmp_path / "given.py").write_text(REFUSED_BY_MYPY)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent"]
    command += ["--cache-dir", str(tmp_path / "cache"), "--config-file", "", str(tmp_path / "given.py")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    lines = REFUSED_BY_MYPY.splitlines()
    first = lines.index(") -> None:") + 2
    wrong = {int(line.split(":")[1]) for line in said.stdout.splitlines() if "error:" in line}
    wanted = {number for number in range(first, len(lines) + 1) if "# fine" not in lines[number - 1]}
    assert wrong == wanted, said.stdout + said.stderr
