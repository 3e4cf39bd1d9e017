"""Patterns compiled late and read ahead are those compiled and read at once."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import repo_server.curation.checks
from repo_server.curation.checks import late, needles, read_ahead

ROOT = Path(__file__).resolve().parents[4]
LATE = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(repo_server.curation.checks.__path__)
    for name, value in vars(importlib.import_module(f"repo_server.curation.checks.{module.name}")).items()
    if isinstance(value, late.Late)
}


def test_patterns_are_compiled_when_used() -> None:
    pattern = late.pattern(r"(?P<one>a+)b", re.IGNORECASE)
    assert "search" not in vars(pattern)
    found = pattern.search("xAAB")
    assert found is not None
    assert found["one"] == "AA"
    assert "search" in vars(pattern)
    assert pattern.sub("-", "aab") == "-"


def test_every_pattern_of_the_checks_can_be_compiled() -> None:
    assert len(LATE) > 200
    for name, pattern in LATE.items():
        assert isinstance(pattern.search(pattern.pattern[:0]), re.Match | None), name


def test_a_bad_pattern_says_so_when_used() -> None:
    pattern = late.pattern("(")
    with pytest.raises(re.error):
        pattern.search("")


def test_the_table_is_that_of_the_phrases() -> None:
    """In a process of its own: phrases that other tests make are known here too."""
    program = "from tests.repo_server.curation.checks.make_read_ahead import made; print(made(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    command = "python tests/repo_server/curation/checks/make_read_ahead.py"
    assert read_ahead.TABLE.read_text("ascii") == made.stdout, f"make it anew: {command}"


@pytest.mark.parametrize("prose", [False, True])
def test_what_is_not_in_the_table_is_read(prose: bool) -> None:
    source = r"no such phrase (?:stands|is) anywhere \d{1,3}"
    assert read_ahead.read_of(source, prose=prose) == needles.read(source, prose=prose)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{not json"])
def test_without_a_table_all_is_read(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "read_ahead.json"
    if content is not None:
        table.write_bytes(content)
    monkeypatch.setattr(read_ahead, "TABLE", table)
    read_ahead._table.cache_clear()
    try:
        source = r"ignore (?:all )?previous"
        assert read_ahead.read_of(source, prose=True) == needles.read(source, prose=True)
    finally:
        read_ahead._table.cache_clear()
