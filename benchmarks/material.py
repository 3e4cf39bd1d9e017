"""The skills that are measured: the labelled corpus, and what was recorded of marketplaces."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from repo_server.curation.limits import Limits
from repo_server.curation.tree import Entry, SourceTree
from repo_server.curation.unpack import unpack

DATA = Path(__file__).parents[1] / "tests" / "data"
PARTS = ("dev", "second", "red-team", "held-out")


def labelled(part: str) -> Iterator[tuple[bool, SourceTree]]:
    """Yield each example of one part of the corpus, and whether it is hostile."""
    for label in ("hostile", "honest"):
        for line in (DATA / "corpus" / part / f"{label}.jsonl").read_text("ascii").splitlines():
            example = json.loads(line)
            named = {path: text.encode() for path, text in example["files"].items()}
            named |= {path: base64.b64decode(packed) for path, packed in example.get("binary", {}).items()}
            executable = set(example["executable"])
            yield (
                label == "hostile",
                SourceTree.of((path, content, path in executable) for path, content in named.items()),
            )


def recorded() -> list[SourceTree]:
    """Return every skill in the recorded answers of marketplaces, each once: folders and archives."""
    root = DATA / "marketplaces"
    trees = [folder_tree(path.parent) for path in sorted(root.rglob("SKILL.md"))]
    trees += [SourceTree.of(unpack(path.read_bytes(), Limits())) for path in sorted(root.rglob("*.zip"))]
    return list({tree.digest: tree for tree in trees}.values())


def folder_tree(folder: Path) -> SourceTree:
    """Return the files below ``folder``.

    Raises:
        FormatError: they cannot stand together in a skill.
    """
    return SourceTree.of(_folder(folder))


def _folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes(), False
