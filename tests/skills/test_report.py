"""The housekeeping report: sizes under a folder, and nothing beyond it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.skills.agent_home import SKILLS

REPORT = SKILLS / "jail-housekeeping" / "scripts" / "report.py"


def report(*arguments: str | os.PathLike[str], status: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-I", "-B", "-W", "error", str(REPORT), *map(os.fspath, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "scratch" / "deep").mkdir(parents=True)
    (home / "scratch" / "deep" / "big").write_bytes(b"x" * 300_000)
    (home / "small").write_bytes(b"y" * 10)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret-name").write_bytes(b"z" * 900_000)
    (home / "link-to-folder").symlink_to(outside)
    (home / "scratch" / "link-to-file").symlink_to(outside / "secret-name")
    return home


def test_sizes_are_counted_and_links_are_not_followed(home: Path):
    found = report(home)
    assert found["complete"] is True
    assert found["total"]["files"] == 2
    assert found["total"]["apparent"] == 300_010
    assert found["not_followed"]["links"] == 2
    assert found["children"][0]["name"] == "scratch"
    assert found["largest_files"][0]["path"] == "scratch/deep/big"
    assert "secret-name" not in json.dumps(found)
    assert found["filesystem"]["bytes_available"] > 0


def test_nothing_is_changed(home: Path):
    before = [(path, os.lstat(path).st_mtime_ns) for path in sorted(home.rglob("*"))]
    report(home)
    assert [(path, os.lstat(path).st_mtime_ns) for path in sorted(home.rglob("*"))] == before


def test_a_link_as_the_folder_itself_is_refused(home: Path):
    for spelling in (str(home / "link-to-folder"), str(home / "link-to-folder") + "/"):
        assert report(spelling, status=12)["error"]["code"] == "not-allowed"


def test_a_file_with_two_names_is_counted_once(home: Path):
    os.link(home / "scratch" / "deep" / "big", home / "again")
    assert report(home)["total"]["files"] == 2


def test_what_grew_is_told_apart(home: Path):
    os.utime(home / "small", (0, 0))
    assert report(home, "--newer-than", "1")["grown"]["files"] == 1


def test_limits_are_said(home: Path):
    assert report(home, "--max-entries", "2")["complete"] is False
    assert len(report(home, "--top", "1")["largest_files"]) == 1


def test_a_folder_too_deep_is_said_and_not_entered(home: Path):
    (home / "/".join(["d"] * 80)).mkdir(parents=True)
    found = report(home)
    assert found["not_followed"]["too_deep"] == 1
    assert found["complete"] is False


def test_names_of_any_bytes_and_things_that_are_not_files(home: Path):
    (home / os.fsdecode(b"caf\xe9\n")).write_bytes(b"")
    os.mkfifo(home / "fifo")
    found = report(home)
    assert "caf\\xe9\n" in {child["name"] for child in found["children"]}
    assert found["not_files"] == 1


def test_usage_and_missing(tmp_path: Path):
    assert report(tmp_path / "none", status=3)["error"]["code"] == "not-found"
    assert report("--top", "many", status=2)["error"]["code"] == "usage"
    assert report("--top", "0", status=2)["error"]["code"] == "usage"
