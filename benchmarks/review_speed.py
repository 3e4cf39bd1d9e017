"""How long the checks take for one skill, beside reading, hashing and decoding the same files in the same run.

    python benchmarks/review_speed.py [--json FILE]   the labelled corpus, what was recorded, and sizes up to 300 kB
    python benchmarks/review_speed.py DIR …           also every folder with a SKILL.md below DIR

A skill's time is the processor's time for findings and surface together (`ParsedSkill.of`, `report_on`, `surface_on`),
in one process, files in memory already: what one skill of a `skillrepo review --path-list` costs. Its floor opens,
reads, hashes and decodes every file of the skill. Of each skill the fastest round counts, because on a shared machine
the rest is noise; the aims are judged on every row but those of large skills.

*made* are skills put together from the corpus' honest texts up to a size: their row shows whether time grows with the
text, or faster.
"""

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from growth import growth
from material import folder_tree, labelled, recorded
from table import Row, main

from repo_server.curation.checks import ParsedSkill, report_on, surface_on
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError

ROUNDS = 3
MEDIAN_AIM, MANY_AIM = "figure <= 10", "figure >= 60"  # milliseconds; skills a second
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


def rows(folders: Sequence[Path]) -> Iterator[tuple[str, list[SourceTree], bool]]:
    """Yield a label, skills, and whether the aims hold for them."""
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


def skills_below(folders: Sequence[Path]) -> Iterator[SourceTree]:
    for folder in folders:
        for path in sorted(folder.rglob("SKILL.md")):
            try:
                yield folder_tree(path.parent)
            except FormatError as error:
                print(f"left out: {path.parent}: {error}", file=sys.stderr)


def timed(trees: list[SourceTree]) -> tuple[list[float], list[float]]:
    """Return the best seconds of each skill's review, and of its floor."""
    reviews, floors = [float("inf")] * len(trees), [float("inf")] * len(trees)
    with tempfile.TemporaryDirectory() as name:
        folders = [written(tree, Path(name) / str(number)) for number, tree in enumerate(trees)]
        for _ in range(ROUNDS):
            for number, tree in enumerate(trees):  # interleaved, so that other load falls on both alike
                reviews[number] = min(reviews[number], seconds(lambda tree=tree: review(tree)))
                floors[number] = min(
                    floors[number], seconds(lambda folder=folders[number]: read_hash_decode(folder))
                )
    return reviews, floors


def measure(folders: Sequence[Path] = ()) -> Iterator[Row]:
    """How long the checks take for one skill, and how many a core checks in a second."""
    grown: dict[float, float] = {}
    for label, trees, judged in rows(folders):
        if not trees:
            continue
        reviews, floors = timed(trees)
        size = statistics.mean(map(size_of, trees))
        if label.startswith("made"):
            grown[size] = statistics.median(reviews)
        yield Row(
            work=f"review of a skill, {label}: median",
            figure=statistics.median(reviews) * 1e3,
            unit="ms",
            against=f"read, hash, decode {len(trees)} × {size / 1e3:.1f} kB",
            floor=statistics.median(floors) * 1e3,
            aim=MEDIAN_AIM if judged else "",
        )
        if len(trees) > 20:
            last = statistics.quantiles(reviews, n=20)[-1]
            yield Row(work=f"review of a skill, {label}: 95 %", figure=last * 1e3, unit="ms")
            yield Row(
                work=f"review of many, {label}: skills per second of a core",
                figure=len(trees) / sum(reviews),
                unit="/s",
                against=f"read, hash, decode {len(trees)} skills",
                floor=len(trees) / sum(floors),
                aim=MANY_AIM if judged else "",
            )
    yield growth("review of a skill with its bytes", grown)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR", help="also every skill below these folders"
    )


if __name__ == "__main__":
    sys.exit(main(measure, add_arguments))
