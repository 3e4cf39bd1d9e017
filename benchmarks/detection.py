"""How many hostile skills the checks stop, and how many honest ones they let pass, on the labelled corpus.

    python benchmarks/detection.py [--json FILE] [--part dev|second|red-team|held-out|all]

Two readings: *block* (a finding stands until a curator waives it in writing) and *block or look* (a person must
read a place). Precision: of what was stopped, how much was hostile. Recall: of what is hostile, how much was
stopped. Floors in the same run: stopping everything, and looking for the dozen strings that a plain scanner looks
for. Rules may be tuned on every part but ``held-out``, so of that one nothing but these sums is printed.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator

from material import PARTS, labelled
from table import Row, main

from repo_server.curation.checks import run_checks
from repo_server.curation.tree import SourceTree
from signing.format.finding import Severity

_STRINGS = re.compile(
    rb"\b(?:curl|wget|iwr|eval|exec)\b|base64|\.ssh/|\.env\b|crontab|chmod \+x|password"
    rb"|ignore (?:all )?previous|do not (?:tell|mention)|silently",
    re.IGNORECASE,
)
EVERYTHING, PEER = "stop everything", "a dozen strings"
_READINGS: dict[str, Callable[[set[Severity] | None, SourceTree], bool]] = {
    "block": lambda found, _: found is not None and Severity.BLOCK in found,
    "block or look": lambda found, _: found is not None and bool(found & {Severity.BLOCK, Severity.LOOK}),
    EVERYTHING: lambda _, __: True,
    PEER: lambda _, tree: any(_STRINGS.search(file.content) for file in tree.files.values()),
}


def measure(part: str = "all") -> Iterator[Row]:
    """Precision and recall of the checks on the labelled corpus."""
    for chosen in PARTS if part == "all" else (part,):
        seen = [
            (hostile, tree, {finding.severity for finding in run_checks(tree).findings})
            for hostile, tree in labelled(chosen)
        ]
        hostile_ones = sum(hostile for hostile, _, _ in seen)
        scores = {
            reading: score([hostile for hostile, tree, found in seen if stops(found, tree)], hostile_ones)
            for reading, stops in _READINGS.items()
        }
        for reading in ("block", "block or look"):
            for name, place in (("precision", 0), ("recall", 1)):
                yield Row(
                    work=f"detection, {chosen} ({hostile_ones} hostile, {len(seen) - hostile_ones} honest), "
                    f"{reading}: {name}",
                    figure=scores[reading][place],
                    against=PEER,
                    floor=scores[PEER][place],
                )
        yield Row(
            work=f"detection, {chosen}: precision of stopping everything",
            figure=scores[EVERYTHING][0],
        )


def score(stopped: list[bool], total: int) -> tuple[float, float]:
    """Return precision and recall of what was stopped, of which there were ``total`` hostile ones."""
    right = sum(stopped)
    return right / len(stopped) if stopped else 0.0, right / total


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")


if __name__ == "__main__":
    sys.exit(main(measure, add_arguments))
