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

# What makes, changes or removes something, or runs a program; who calls it, and why that is no way past an admission.
_OWN = "a folder of the host's own, where no jail is"
_BESIDE = "notes and marks beside the jail's root, where nobody in the jail can write"
_BIRTH = "the steps of a birth; each takes an admission"
WRITERS: dict[str, dict[str, str]] = {
    "install_tree": {"hive.jails.materialise": "takes an Admission"},
    "install_file": {
        "hive.gates.self_test": "into a jail that it makes for its own attack",
        "hive.jails.materialise": "identity and lock, from Admissions",
        "hive.packages.jail_config": "pkg's configuration, from a VerifiedPackageSet",
        "hive.vault.env_file": "the environment file: secrets, and nothing that runs",
    },
    "create_file": {
        "hive.cli.first_proof": "the report, where the operator said",
        "hive.host_key": _OWN,
        "hive.jails.directory": _BESIDE,
        "hive.jails.places": "an empty file, over which one is shown read-only",
        "hive.packages.staging": "the files of AdmittedBytes, under a random name",
        "hive.packages.unpack": "the list of what AdmittedBytes installed",
    },
    "write_file": {
        "hive.cli.audit": "exports and certificates, where the operator said",
        "hive.documents": _OWN,
        "hive.jails.bastille": _BESIDE,
        "hive.jails.bastille_notes": _BESIDE,
        "hive.jails.contained": "the one module that writes below a root; called by install_file",
        "hive.jails.directory": _BESIDE,
        "hive.optins": _OWN,
        "hive.policy_loading": _OWN,
        "hive.remembered_head": _OWN,
        "hive.vault.sealed": _OWN,
    },
    "write_tree": {"hive.jails.contained": "called by install_tree"},
    "make_folder": {
        "hive.packages.placing": "folders of AdmittedBytes",
        "hive.packages.unpack": "the staging folder",
        "hive.proof.unfinished": _OWN,
    },
    "make_link": {"hive.packages.placing": "links of AdmittedBytes, checked not to lead out"},
    "name_again": {"hive.packages.placing": "a staged file gets its name"},
    "set_mode": {"hive.packages.placing": "of folders of AdmittedBytes"},
    "rename": {
        "hive.gates.swapper": "the attacker of the self-test",
        "hive.host_key": _OWN,
        "hive.jails.bastille": _BESIDE,
        "hive.jails.directory": "whole jails, beside each other",
    },
    "remove_tree": {
        "hive.host_key": _OWN,
        "hive.jails.bastille": "whole jails, and notes beside them",
        "hive.jails.bastille_notes": _BESIDE,
        "hive.jails.contained": "below a root, following nothing",
        "hive.jails.directory": "whole jails, and notes beside them",
        "hive.packages.placing": "what a package put there, when it is taken back",
        "hive.packages.unpack": "the staging folder",
        "hive.proof.unfinished": _OWN,
        "hive.vault.env_file": "the environment file",
    },
    "run_command": {
        "hive.jails.bastille_commands": "bastille, jail, mount, umount; what they are told is the host's",
        "hive.jails.rctl": "limits",
        "hive.packages.running": "asks pkg; what a jail answers is no evidence",
        "hive.packages.stream": "pkg add of AdmittedBytes",
    },
    "stage": {"hive.packages.unpack": "takes AdmittedBytes"},
    "Placing": {"hive.packages.unpack": "takes AdmittedBytes"},
    "unpack_package": {"hive.jails.directory": "takes AdmittedBytes"},
    "stream_package": {"hive.jails.bastille": "takes AdmittedBytes"},
    "install_package": {
        "hive.birth.carry_out": _BIRTH,
        "hive.packages.install": "makes AdmittedBytes of one",
    },
    "install_skill": {"hive.birth.carry_out": _BIRTH},
    "install_identity": {"hive.birth.carry_out": _BIRTH},
    "install_lock": {"hive.birth.carry_out": _BIRTH},
    "install_jail_files": {"hive.birth.carry_out": _BIRTH},
    "PackageAdmission": {"hive.admission": "the one maker"},
    "Admission": {"hive.admission": "the one maker"},
    "AdmittedBytes": {"hive.packages.install": "the one maker"},
}
# The world's own words for the same; `repo_client` has the handles, and hive uses nothing else in a jail.
RAW: dict[str, dict[str, str]] = {
    "subprocess.Popen": {
        "hive.agents.command": "a lane's command; no jail is its business",
        "hive.gates.self_test": "the attacker",
        "hive.packages.commands": "run_command, above",
        "hive.vault.bw_command": "the vault's client, in a folder of its own",
    },
    "subprocess.run": {"hive.sweep.notify": "the operator's command, told of findings on its standard input"},
    "os.execv": {"hive.jails.gate": "waits until it may, then becomes the command of run_command"},
    "os.mkfifo": {"hive.gates.self_test": "planted in a jail of its own"},
    "os.link": {"hive.private_files": "a key of the host gets its name"},
    "os.rename": {"hive.gates.swapper": "the attacker of the self-test"},
    "shutil.copytree": {"hive.doctor.services": "metadata, to be looked at in a copy"},
    "shutil.rmtree": {"hive.gates.self_test": "its own jails"},
    "symlink_to": {"hive.gates.self_test": "planted in a jail of its own"},
    "hardlink_to": {"hive.gates.self_test": "planted in a jail of its own"},
    "write_bytes": {"hive.gates.self_test": "the naive installer, which has to lose"},
    "write_text": {"hive.gates.self_test": "what must not be touched, outside of its jail"},
    "rmdir": {"hive.gates.self_test": "planted in a jail of its own"},
    "chmod": {
        "hive.gates.self_test": "its own jails",
        "hive.jails.directory": "the folder of all jails, when it is made",
    },
    "unlink": {
        "hive.agents.serve": "the socket of a service that is gone",
        "hive.gates.self_test": "what escaped, outside of its jail",
        "hive.private_files": "the unfinished file of a key",
    },
}
_MODULES = frozenset({"os", "shutil", "subprocess"})
# In these modules nothing is called but what only looks, and what stands above.
_LOOKS = frozenset(
    {
        *("os.access", "os.close", "os.environ.get", "os.fdopen", "os.fsdecode", "os.fsencode", "os.fspath"),
        *(
            "os.fstat",
            "os.fsync",
            "os.geteuid",
            "os.getegid",
            "os.getgroups",
            "os.getpid",
            "os.getppid",
            "os.kill",
            "os.killpg",
            "os.lseek",
        ),
        *(
            "os.open",
            "os.pipe",
            "os.read",
            "os.set_blocking",
            "os.stat",
            "os.umask",
            "os.uname",
            "os.urandom",
            "os.waitid",
            "os.write",
            "os.cpu_count",
        ),
        *("shutil.disk_usage", "shutil.which"),
    }
)


def calls(name: str) -> Iterator[tuple[str, str]]:
    """Yield the called name and the module, for every call in the package ``name``; of `os` and the like with its module."""
    for path in sorted((ROOT / name).rglob("*.py")):
        module = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                    of = function.value.id
                    if of in _MODULES:
                        yield f"{of}.{called}", module
                        called = called if of == "os" else ""
                yield called, module


def test_who_writes_into_a_jail_is_a_short_list() -> None:
    found: dict[str, set[str]] = {name: set() for name in WRITERS}
    for called, module in calls("hive"):
        if called in found:
            found[called].add(module)
    assert found == {name: set(modules) for name, modules in WRITERS.items()}


def test_nobody_in_the_hive_goes_past_the_handles() -> None:
    found: dict[str, set[str]] = {}
    for called, module in calls("hive"):
        raw = called.partition(".")[0] in _MODULES and "." in called and not called.startswith("os.path.")
        if called in RAW or (raw and called not in _LOOKS):
            found.setdefault(called, set()).add(module)
    assert found == {name: set(modules) for name, modules in RAW.items()}


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
