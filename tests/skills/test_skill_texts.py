"""Every first-party skill is what we ask of others: strict front matter, plain text, nothing a reviewer must stop."""

import ast
import re
import stat
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from repo_server.curation.checks import run_checks
from repo_server.curation.tree import SourceTree
from signing.format.finding import Severity
from signing.format.names import parse_skill_name
from tests.skills.agent_home import SKILLS

FOLDERS = sorted(path.parent for path in SKILLS.rglob("SKILL.md"))
KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
HOSTS = {"skills.clawdie.si", "127.0.0.1", "localhost"}

by_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def front_matter(folder: Path) -> tuple[str, dict[str, Any]]:
    text = (folder / "SKILL.md").read_text(encoding="utf-8")
    opening, matter, _body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    assert opening == ""
    return matter, yaml.safe_load(matter)


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if not path.is_dir()]


def test_the_four_are_there():
    assert [folder.name for folder in FOLDERS] == ["jail-housekeeping", "mother", "clawdie-base", "tier-paid"]


@by_folder
def test_nothing_blocks_at_our_own_desk(folder: Path):
    tree = SourceTree.of(
        (path.relative_to(folder).as_posix(), path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
        for path in files(folder)
    )
    findings = run_checks(tree, name=parse_skill_name(folder.name), strict=True).findings
    assert [finding for finding in findings if finding.severity is Severity.BLOCK] == []


@by_folder
def test_front_matter_is_strict(folder: Path):
    raw, matter = front_matter(folder)
    assert set(matter) <= KEYS
    assert matter["name"] == folder.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", matter["name"])
    assert 1 <= len(matter["description"]) <= 1024
    assert len(matter.get("compatibility", "x")) <= 500
    assert matter["metadata"] == {"version": "1.0.0"}
    assert not re.search(r"[{}\[\]&*#]|: [|>!]", raw)  # no flow style, anchor, tag, comment or block scalar
    assert len((folder / "SKILL.md").read_text().splitlines()) <= 500


@by_folder
def test_files_are_plain_text_with_the_modes_they_need(folder: Path):
    for path in files(folder):
        assert path.is_file()
        assert not path.is_symlink()
        assert not path.name.startswith(".")
        text = path.read_bytes().decode("utf-8")
        odd = {
            c for c in text if c not in "\n…" and (not c.isprintable() or unicodedata.category(c)[0] == "C")
        }
        assert odd == set(), path
        assert text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 400, path
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        assert executable == (path.parent.name == "scripts"), path


@by_folder
def test_every_file_is_mentioned_and_every_mention_is_there(folder: Path):
    text = (folder / "SKILL.md").read_text()
    beside = {str(path.relative_to(folder)) for path in files(folder)} - {"SKILL.md"}
    mentioned = set(re.findall(r"(?:scripts|references|assets)/[A-Za-z0-9._/-]*[a-z]", text))
    assert mentioned <= beside
    for path in beside - mentioned:
        assert Path(path).name in "".join(other.read_text() for other in files(folder)), path


@by_folder
def test_nothing_that_blocks_a_review(folder: Path):
    network = r"\b(curl|wget|fetch\(|https?://|urlopen|urllib|post|upload|send|http\.client|socket\.socket)\b"
    for path in files(folder):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://([A-Za-z0-9.-]+)", text)) <= HOSTS, path
        assert not re.search(
            r"\b(curl|wget|base64|eval|npx|uvx|pip install|chmod \+x|sudo|crontab)\b", text
        ), path
        assert "<!--" not in text
        assert "<details" not in text
        lines = text.lower().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\.env\b|hive_token", line):
                near = "\n".join(lines[max(0, number - 5) : number + 6])
                assert not re.search(network, near), f"{path}:{number + 1}"


def test_mother_is_read_from_above():
    """Its list of files is all of them, and none imports one that stands below it."""
    folder = SKILLS / "mother" / "scripts" / "mother"
    listed = re.findall(r"^    (\w+)\.py ", (folder / "__init__.py").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_")
    for name in listed:
        text = (folder / f"{name}.py").read_text()
        imported = re.findall(r"^from mother\.(\w+) import", text, flags=re.MULTILINE)
        assert set(imported) < set(listed[: listed.index(name)]) | {""}, name
        assert len(text.splitlines()) <= 180, name


@pytest.mark.parametrize("path", sorted(SKILLS.rglob("*.py")), ids=lambda path: path.name)
def test_scripts_are_python_3_9_and_standard_library_only(path: Path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    assert modules <= sys.stdlib_module_names | {"mother"}
