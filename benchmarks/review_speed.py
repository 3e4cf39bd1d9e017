"""How long the checks take for one skill, beside reading, hashing and decoding the same files in the same run.

    python benchmarks/review_speed.py            the labelled corpus, what was recorded, and sizes up to 300 kB
    python benchmarks/review_speed.py DIR …      also every folder with a SKILL.md below DIR

A skill's time is the processor's time for findings and surface together (`ParsedSkill.of`, `report_on`, `surface_on`),
in one process, files in memory already: what one skill of a `skillrepo review --path-list` costs. Its floor opens,
reads, hashes and decodes every file of the skill. Of each skill the fastest round counts, because on a shared machine
the rest is noise; the ceiling is judged on the median skill of every row but the large ones.

*made* are skills put together from the corpus' honest texts up to a size: their row shows whether time grows with the
text, or faster.
"""

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from material import folder_tree, labelled, recorded

from repo_server.curation.checks import ParsedSkill, report_on, surface_on
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError

ROUNDS = 3
CEILING_SECONDS = 0.010
SMALL, MEDIUM = 2_000, 10_000  # bytes of all files
MADE = (2_000, 10_000, 30_000, 100_000, 300_000)


def read_hash_decode(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            hashlib.sha256(content).hexdigest()
            content.decode("utf-8", errors="replace")


def review(tree: SourceTree) -> None:
    skill = ParsedSkill.of(tree)
    report_on(skill)
    surface_on(skill)


def seconds(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def size_of(tree: SourceTree) -> int:
    return sum(len(file.content) for file in tree.files.values())


def written(tree: SourceTree, folder: Path) -> Path:
    for path, file in tree.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
    return folder


def made(texts: list[str], size: int) -> SourceTree:
    """Return a skill of about ``size`` bytes, in files of at most 30 kB."""
    files, left, number = [], size, 0
    while left > 0:
        piece = ""
        while len(piece) < min(left, 30_000):
            piece += texts[number % len(texts)].partition("\n---\n")[2]
            number += 1
        files.append(piece.encode()[: min(left, 30_000)])
        left -= len(files[-1])
    head = b"---\nname: made\ndescription: Made of other skills.\n---\n"
    entries = [(f"references/{place}.md", content, False) for place, content in enumerate(files[1:], start=1)]
    return SourceTree.of([("SKILL.md", head + files[0], False), *entries])


def rows(folders: list[Path]) -> Iterator[tuple[str, list[SourceTree], bool]]:
    """Yield a label, skills, and whether the ceiling holds for their median."""
    dev = list(labelled("dev"))
    yield "corpus, dev half", [tree for _, tree in dev], True
    yield "recorded of marketplaces", recorded(), True
    if found := list(skills_below(folders)):
        small, medium = (sum(size_of(tree) < bound for tree in found) for bound in (SMALL, MEDIUM))
        found.sort(key=size_of)
        yield "given, to 2 kB", found[:small], True
        yield "given, 2 to 10 kB", found[small:medium], True
        yield "given, larger", found[medium:], False
    texts = [tree.skill_md.decode() for hostile, tree in dev if not hostile]
    for size in MADE:
        yield f"made, {size // 1_000} kB", [made(texts[begin:], size) for begin in (0, 40, 80)], size <= SMALL


def skills_below(folders: list[Path]) -> Iterator[SourceTree]:
    for folder in folders:
        for path in sorted(folder.rglob("SKILL.md")):
            try:
                yield folder_tree(path.parent)
            except FormatError as error:
                print(f"left out: {path.parent}: {error}", file=sys.stderr)


def measure(label: str, trees: list[SourceTree]) -> float:
    """Print one line, and return the median time of a skill."""
    reviews, floors = [float("inf")] * len(trees), [float("inf")] * len(trees)
    with tempfile.TemporaryDirectory() as name:
        folders = [written(tree, Path(name) / str(number)) for number, tree in enumerate(trees)]
        for _ in range(ROUNDS):
            for number, tree in enumerate(trees):  # interleaved, so that other load falls on both alike
                reviews[number] = min(reviews[number], seconds(lambda tree=tree: review(tree)))
                floors[number] = min(
                    floors[number], seconds(lambda folder=folders[number]: read_hash_decode(folder))
                )
    size = sum(map(size_of, trees)) / len(trees)
    median = statistics.median(reviews)
    last = statistics.quantiles(reviews, n=20)[-1] if len(reviews) > 1 else median
    print(
        f"{label:26s}{len(trees):7d}{size / 1e3:8.1f}{median * 1e3:10.1f}{last * 1e3:9.1f}"
        f"{statistics.median(floors) * 1e3:10.2f}{sum(reviews) / sum(floors):8.0f}"
        f"{len(trees) / sum(reviews):10.0f}{sum(map(size_of, trees)) / sum(reviews) / 1e6:7.2f}",
        flush=True,
    )
    return median


def main() -> int:
    print(
        f"{'milliseconds of processor':26s}{'skills':>7s}{'kB':>8s}{'median':>10s}{'p95':>9s}"
        f"{'floor':>10s}{'x floor':>8s}{'skills/s':>10s}{'MB/s':>7s}"
    )
    slow = []
    for label, trees, judged in rows([Path(argument) for argument in sys.argv[1:]]):
        if trees and measure(label, trees) > CEILING_SECONDS and judged:
            slow.append(label)
    if slow:
        print(f"median over {CEILING_SECONDS} s: {', '.join(slow)}")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
