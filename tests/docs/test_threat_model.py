"""Every line of the threat model, and every way out of a disaster, names tests, and they exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs/threat-model.md"
DISASTERS = TESTS.parent / "docs/disasters.md"
_NAMED = re.compile(r"`((?:[a-z_0-9/]+\.py)?(?:::test_\w+)?)`")


def rows() -> list[str]:
    lines = PAGE.read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and "tried by |" not in line]


def named(text: str) -> list[tuple[str, str]]:
    """Return file and test of each name in ``text``; ``::test`` alone is of the file before it."""
    found, file = [], ""
    for item in _NAMED.findall(text):
        path, _, test = item.partition("::")
        file = path or file
        if item:
            found.append((file, test))
    return found


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_there_are_as_many_lines_as_adversaries_deserve() -> None:
    assert len(rows()) > 50
    adversaries = re.findall(r"^## (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(adversaries) > 15


@pytest.mark.parametrize("row", rows(), ids=lambda row: re.sub(r"\W+", "-", row)[:60])
def test_a_line_names_tests(row: str) -> None:
    assert named(row.rpartition("|")[0].rpartition(" | ")[2]), row


def parts() -> list[str]:
    """The parts of the page about disasters, without what stands above them."""
    return DISASTERS.read_text("utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("part", parts(), ids=lambda part: re.sub(r"\W+", "-", part)[:40])
def test_a_way_out_names_tests(part: str) -> None:
    assert "Test" in part
    assert named(part)


@pytest.mark.parametrize(
    ("file", "test"), sorted({*named(PAGE.read_text("utf-8")), *named(DISASTERS.read_text("utf-8"))})
)
def test_what_is_named_exists(file: str, test: str) -> None:
    assert file
    assert (test in names_in(file)) if test else names_in(file)
