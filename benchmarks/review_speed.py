"""How long the checks take for one skill, as a ratio to reading and hashing the same files in the same run.

A skill's time is that of `run_checks` and `surface_of` together, in one process, files in memory already. The floor
opens, reads and hashes every file of the same skills. Skills: the dev half of the corpus, and what was recorded of
marketplaces. Of each skill the fastest round counts, because on a shared machine the rest is noise; the ceiling is
judged on the median skill.
"""

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from material import labelled, recorded

from repo_server.curation.checks import run_checks, surface_of
from repo_server.curation.tree import SourceTree

ROUNDS = 3
CEILING_SECONDS = 0.010


def read_and_hash(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            hashlib.sha256(path.read_bytes()).hexdigest()


def review(tree: SourceTree) -> None:
    run_checks(tree)
    surface_of(tree)


def seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def written(tree: SourceTree, folder: Path) -> Path:
    for path, file in tree.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
    return folder


def measure(label: str, trees: list[SourceTree]) -> float:
    """Print one line, and return the median time of a skill."""
    reviews, floors = [float("inf")] * len(trees), [float("inf")] * len(trees)
    with tempfile.TemporaryDirectory() as name:
        folders = [written(tree, Path(name) / str(number)) for number, tree in enumerate(trees)]
        for _ in range(ROUNDS):
            for number, tree in enumerate(trees):  # interleaved, so that other load falls on both alike
                reviews[number] = min(reviews[number], seconds(lambda tree=tree: review(tree)))
                floors[number] = min(
                    floors[number], seconds(lambda folder=folders[number]: read_and_hash(folder))
                )
    size = sum(len(file.content) for tree in trees for file in tree.files.values()) / len(trees)
    median, last = statistics.median(reviews), statistics.quantiles(reviews, n=20)[-1]
    print(
        f"{label:26s}{len(trees):7d}{size / 1e3:7.1f}{median * 1e3:10.1f}{last * 1e3:8.1f}"
        f"{len(trees) / sum(reviews):10.0f}{sum(reviews) / sum(floors):9.0f}"
    )
    return median


def main() -> int:
    print(f"{'':26s}{'skills':>7s}{'kB':>7s}{'median ms':>10s}{'p95 ms':>8s}{'skills/s':>10s}{'x floor':>9s}")
    rows = {
        "corpus, dev half": [tree for _, tree in labelled("dev")],
        "recorded of marketplaces": recorded(),
    }
    slow = [label for label, trees in rows.items() if measure(label, trees) > CEILING_SECONDS]
    if slow:
        print(f"median over {CEILING_SECONDS} s: {', '.join(slow)}")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
