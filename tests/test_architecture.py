"""The arrows between packages, and where the world may be touched.

signing ← repo_client ← hive        signing ← repo_server        never server ↔ client, server ↔ hive
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.open_gates import open_required_gates
from tests.support.world import World, now, register_tenant

ROOT = Path(__file__).parents[1]
PACKAGES = ("signing", "repo_client", "repo_server", "hive")
MAY_IMPORT = {
    "signing": {"signing"},
    "repo_client": {"signing", "repo_client"},
    "repo_server": {"signing", "repo_server"},
    "hive": {"signing", "repo_client", "hive"},
}
FORMAT_MAY_IMPORT = {"packaging", "signing", "zstandard"}  # the last one where a frame is unpacked, see LATE
# What FreeBSD has no wheels for, and what costs time: never on the run-time path.
HEAVY = (
    "nacl",
    "cryptography",
    "cffi",
    "flask",
    "requests",
    "yaml",
    "granian",
    "waitress",
    "sigstore",
    "pydantic",
)
WORLDLY_MODULES = {
    "fcntl",
    "http.client",
    "requests",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "urllib.request",
}
WORLDLY_CALLS = {
    "now",
    "utcnow",
    "today",
    "read_bytes",
    "write_bytes",
    "read_text",
    "write_text",
    "unlink",
    "mkdir",
}


def modules(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_in_one_direction(package: str) -> None:
    wrong = [
        (name_of(path), name)
        for path in modules(package)
        for name in imported(ast.parse(path.read_text()))
        if name.partition(".")[0] in PACKAGES and name.partition(".")[0] not in MAY_IMPORT[package]
    ]
    assert wrong == []


# Loaded inside the functions that verify or make Sigstore evidence, by the commands that need it.
LATE = ("sigstore", "sigstore_models", "rfc3161_client", "cryptography", "jwt", "pydantic", "zstandard")


@pytest.mark.parametrize("package", PACKAGES)
def test_sigstore_is_imported_by_those_who_ask_only(package: str) -> None:
    wrong = [
        (name_of(path), name)
        for path in modules(package)
        for name in imported(_at_import(ast.parse(path.read_text())))
        if name.partition(".")[0] in LATE
    ]
    assert wrong == []


def _at_import(tree: ast.Module) -> ast.Module:
    """What runs when a module is imported: neither the bodies of functions nor what is for type checkers."""

    class Prune(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            typed = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if typed else self.generic_visit(node)

    return Prune().visit(tree)


@pytest.mark.parametrize(
    ("packages", "late"),
    [(("signing", "repo_client", "hive"), ("sigstore", "cryptography.x509")), (PACKAGES, ("sigstore",))],
    ids=["run-time-path", "everything"],
)
def test_importing_every_module_loads_no_sigstore(packages: tuple[str, ...], late: tuple[str, ...]) -> None:
    names = [name_of(path) for package in packages for path in modules(package)]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in {late!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_formats_need_the_standard_library_and_packaging_only() -> None:
    wrong = [
        (name_of(path), name)
        for path in modules("signing/format")
        for name in imported(ast.parse(path.read_text()))
        if (top := name.partition(".")[0]) not in sys.stdlib_module_names and top not in FORMAT_MAY_IMPORT
    ]
    assert wrong == []


def test_only_modules_that_say_so_touch_the_world() -> None:
    """Network, disk, clock, processes: only where the docstring says ``(edge)``, and in commands."""
    wrong = []
    for path in (path for package in PACKAGES for path in modules(package)):
        tree = ast.parse(path.read_text())
        says_so = "(edge)" in (ast.get_docstring(tree) or "")
        if says_so or "cli" in path.parts or path.name == "cli.py":
            continue
        touches = sorted(imported(tree) & WORLDLY_MODULES)
        touches += sorted(_worldly_calls(tree))
        if touches:
            wrong.append((name_of(path), touches))
    assert wrong == []


def _worldly_calls(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute):
            of_os = isinstance(node.func.value, ast.Name) and node.func.value.id == "os"
            if node.func.attr in WORLDLY_CALLS or (of_os and node.func.attr != "fspath"):
                found.add(node.func.attr)
        elif isinstance(node.func, ast.Name) and node.func.id == "open":
            found.add("open")
    return found


def test_no_module_collects() -> None:
    """A file is one idea; those that everybody regrets are the ones that collect."""
    long = [
        (name_of(path), count)
        for package in PACKAGES
        for path in modules(package)
        if (count := len(path.read_text().splitlines())) > 450
    ]
    assert long == []


def test_a_birth_needs_nothing_that_freebsd_has_no_wheels_for(world: World, tmp_path: Path) -> None:
    """A child that cannot import any heavy package verifies Ed25519 in pure Python and births a tenant."""
    anchor = tmp_path / "anchor.json"
    anchor.write_bytes(world.anchor)
    with world.serve() as server:
        mother = world.mother(server.url, tmp_path / "host")
        register_tenant(mother, "acme", profile="base==1")
        open_required_gates(mother.engine, tmp_path / "host" / "hive.state", now=now())
        program = (
            "import sys\n"
            f"blocked = {HEAVY!r}\n"
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] in blocked: raise ImportError('blocked: ' + name)\n"
            "sys.meta_path.insert(0, Finder())\n"
            "from hive.cli import cli\n"
            "from signing.console import run\n"
            "run(cli, 'hive', sys.argv[1:])\n"
        )
        words = [
            "--db",
            str(tmp_path / "host" / "hive.db"),
            "--trust-anchor",
            str(anchor),
            "--server",
            server.url,
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                program,
                *words,
                "birth",
                "acme",
                "--jail-root-base",
                str(tmp_path / "jails"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "jails/acme/root/usr/home/agent/skills/web-search/SKILL.md").is_file()
