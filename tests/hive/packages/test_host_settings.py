"""What a host says about its packages: ABI, server, store; and what its code never does."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hive.config import DEFAULT_STORE_BYTES, HiveConfig, abi_of
from hive.packages.jail_config import jail_files
from signing.errors import FormatError
from tests.support.harbour import Harbour
from tests.support.open_gates import open_required_gates
from tests.support.packages import BASE, index_of, listed, package_set
from tests.support.world import now

HIVE = Path(__file__).parents[3] / "hive"


@pytest.mark.parametrize(
    ("system", "release", "machine", "wanted"),
    [
        ("FreeBSD", "14.3-RELEASE-p2", "amd64", "FreeBSD:14:amd64"),
        ("FreeBSD", "15.0-CURRENT", "arm64", "FreeBSD:15:aarch64"),
        ("FreeBSD", "14.3-RELEASE", "mips", None),
        ("FreeBSD", "what", "amd64", None),
        ("Linux", "6.18.0-1", "x86_64", None),
    ],
)
def test_the_abi_of_this_machine(system: str, release: str, machine: str, wanted: str | None) -> None:
    assert abi_of(system, release, machine) == wanted


def test_a_given_abi_goes_before_the_machines(tmp_path: Path) -> None:
    file = tmp_path / "hive.toml"
    file.write_text('abi = "FreeBSD:15:amd64"\npackage_store_bytes = "1000"\n')
    config = HiveConfig.load(file, {})
    assert config.host_abi == "FreeBSD:15:amd64"
    assert config.store_bytes == 1000
    assert HiveConfig.load(file, {"abi": "FreeBSD:14:amd64"}).host_abi == "FreeBSD:14:amd64"
    assert HiveConfig.load(None, {}).store_bytes == DEFAULT_STORE_BYTES


@pytest.mark.parametrize("text", ["", "0", "-1", "1_000", "20G", "٣", " 5"])
def test_a_store_size_in_another_spelling(text: str) -> None:
    with pytest.raises(FormatError):
        _ = HiveConfig(package_store_bytes=text).store_bytes


@pytest.mark.parametrize("text", ["FreeBSD:14:*", "freebsd:14:x86:64", "FreeBSD:14:amd64\n", "../x"])
def test_an_abi_in_another_spelling(text: str) -> None:
    with pytest.raises(FormatError):
        _ = HiveConfig(abi=text).host_abi


@pytest.mark.parametrize(
    "address", ['https://x.example/"}\nevil: {', "https://x.example/$VAR", "https://x.example/a b", "x"]
)
def test_an_address_that_would_mean_more_in_pkgs_configuration(address: str) -> None:
    with pytest.raises(FormatError):
        jail_files(package_set(index_of([listed(BASE)])), address)


def test_a_repository_without_fingerprints_is_not_offered_to_the_jails_pkg() -> None:
    files = jail_files(package_set(index_of([listed(BASE)], fingerprints=())), "https://pkg.example")
    assert sorted(files) == ["usr/local/etc/pkg.conf", "usr/local/etc/pkg/repos/00-public-off.conf"]


def test_the_command_births_with_packages(harbour: Harbour, tmp_path: Path) -> None:
    state = harbour.scene.mother.state
    open_required_gates(harbour.scene.mother.engine, state / "hive.state", now=now())
    harbour.scene.mother.engine.dispose()
    anchor = tmp_path / "anchor.json"
    anchor.write_bytes(harbour.scene.world.anchor)
    words = ["--db", str(harbour.scene.mother.state / "hive.db"), "--trust-anchor", str(anchor)]
    words += ["--server", harbour.scene.server.url, "--abi", "FreeBSD:14:amd64", "--json"]
    command = [sys.executable, "-c", "from hive.cli import main; main()", *words]

    said: list[str] = []

    def answer(*more: str) -> dict[str, object]:
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
        return dict(json.loads(done.stdout))

    born = answer("birth", "boat", "--jail-root-base", str(tmp_path / "jails"))
    assert [item["package"] for item in born["packages"]] == ["demo-base-1.0.0", "demo-agent-1.2.1_1"]  # type: ignore[attr-defined]
    assert f"fetched demo-base-1.0.0: {len(BASE)} of {len(BASE)} bytes" in said[0]
    shown = json.dumps(answer("audit", "show", "--tenant", "boat"))
    assert "package.installed" in shown
    assert answer("trust", "show")["serials"] == {"FreeBSD:14:amd64/latest": 1}
    text = [word for word in command if word != "--json"]
    done = subprocess.run([*text, "audit", "show"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo-base-1.0.0 (package)  sha256 " in done.stdout


def test_nothing_is_installed_from_outside_into_a_root() -> None:
    """No ``pkg -r``, ``pkg -c``, ``bastille cp`` and the like anywhere: they run or write on the host."""
    wrong = []
    for path in HIVE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                forbidden = {
                    "-r",
                    "-c",
                    "--rootdir",
                    "--chroot",
                    "cp",
                    "rcp",
                    "cmd",
                    "template",
                    "update",
                    "upgrade",
                }
                if node.value in forbidden or "bastille cp" in node.value or "pkg -r" in node.value:
                    wrong.append((str(path.relative_to(HIVE)), node.value))
    assert wrong == [("jails/rctl.py", "-r")]  # which takes a rule back


def test_no_shell_is_ever_started() -> None:
    wrong = [
        (str(path.relative_to(HIVE)), node.lineno)
        for path in HIVE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.keyword) and node.arg == "shell")
        or (
            isinstance(node, ast.Attribute)
            and node.attr in {"system", "popen"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        )
    ]
    assert wrong == []
