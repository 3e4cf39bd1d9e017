"""What we ship: the same bytes from the same commit, whole, and with a bill of what it stands on."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "deploy/release/dist.py"
PACKAGES = ("signing", "repo_client", "repo_server", "hive")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("git") is None or not (PROJECT / ".git").exists(), reason="needs git and a clone"
    ),
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "built twice, the same bytes" in done.stdout
    return folder


def test_the_sums_are_those_of_the_files(dist: Path) -> None:
    lines = dict(reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text("utf-8").splitlines())
    assert sorted(lines) == sorted(path.name for path in dist.iterdir() if path.name != "SHA256SUMS")
    assert all(
        hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest for name, digest in lines.items()
    )


def test_the_wheel_holds_all_files_of_the_packages_and_nothing_else(dist: Path) -> None:
    """Templates, tables and migrations too: what is missing fails on a customer's machine first."""
    tracked = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", *PACKAGES],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        held = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert sorted(held) == sorted(tracked)


def test_the_wheel_runs_without_the_checkout(dist: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'skillrepo';"
        "import repo_server; assert repo_server.__file__.startswith(sys.path[0]), repo_server.__file__;"
        "from repo_server.cli import main; main()"
    )
    folder = tmp_path / "repo"
    done = subprocess.run(
        [sys.executable, "-c", program, site, "init", folder, "--dev"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "public/skills/metadata/timestamp.json").is_file()


def test_the_bill_names_every_locked_package_with_its_hashes(dist: Path) -> None:
    bill = json.loads(next(dist.glob("*.cdx.json")).read_bytes())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    wheel = next(dist.glob("*.whl"))
    assert (
        bill["metadata"]["component"]["hashes"][0]["content"]
        == hashlib.sha256(wheel.read_bytes()).hexdigest()
    )
    named = {item["purl"]: item for item in bill["components"]}
    assert len(named) == len(bill["components"])
    for file in ("run", "hive", "server"):
        for line in (PROJECT / f"requirements/{file}.txt").read_text("utf-8").splitlines():
            if "==" in line and not line.startswith((" ", "#")):
                name, _, rest = line.partition("==")
                assert f"pkg:pypi/{name}@{rest.split()[0]}" in named
    for item in bill["components"]:
        hashes = item["externalReferences"][0]["hashes"]
        assert hashes
        assert all(len(entry["content"]) == 64 for entry in hashes)
    assert "://" not in json.dumps(bill)


def test_nothing_is_built_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
