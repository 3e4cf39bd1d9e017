"""The part of the corpus on which rules may be tuned: every hostile skill stopped, no honest one."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repo_server.curation.checks import run_checks
from repo_server.curation.tree import SourceTree
from signing.format.finding import Severity

DEV = Path(__file__).parents[3] / "data" / "corpus" / "dev"

# Hostile by meaning alone, or honest by it: docs/checks.md says why no rule decides them.
KNOWN_MISSES = {
    "dev-hostile-remote-instructions-07": "runs a field of entries from an address, in words that name neither a program nor the user",
}
KNOWN_FALSE_BLOCKS: dict[str, str] = {}


def tree_of(record: dict[str, Any]) -> SourceTree:
    entries = [(path, text.encode(), path in record["executable"]) for path, text in record["files"].items()]
    for path, packed in record.get("binary", {}).items():
        entries.append((path, base64.b64decode(packed), path in record["executable"]))
    return SourceTree.of(entries)


def trees(path: Path) -> Iterator[tuple[str, SourceTree]]:
    for line in path.read_text("ascii").splitlines():
        record = json.loads(line)
        yield record["id"], tree_of(record)


def blocked(path: Path) -> dict[str, bool]:
    return {
        name: any(finding.severity is Severity.BLOCK for finding in run_checks(tree).findings)
        for name, tree in trees(path)
    }


@pytest.mark.slow
def test_every_hostile_skill_is_blocked() -> None:
    result = blocked(DEV / "hostile.jsonl")
    assert len(result) > 150
    assert {name for name, stopped in result.items() if not stopped} == set(KNOWN_MISSES)


@pytest.mark.slow
def test_no_honest_skill_is_blocked() -> None:
    result = blocked(DEV / "honest.jsonl")
    assert len(result) > 150
    assert {name for name, stopped in result.items() if stopped} == set(KNOWN_FALSE_BLOCKS)
