"""How many hostile skills the checks stop, and how many honest ones they let pass, on the labelled corpus.

    python benchmarks/detection.py [--part dev|second|red-team|held-out|all]

Two readings: *block* (a finding stands until a curator waives it in writing) and *block or look* (a person must
read a place). Precision: of what was stopped, how much was hostile. Recall: of what is hostile, how much was
stopped. Floors in the same run: stopping everything, and looking for the dozen strings that a plain scanner looks
for. Rules may be tuned on every part but ``held-out``, so of that one nothing but these sums is printed.
"""

import argparse
import re
import sys
from collections.abc import Callable

from material import PARTS, labelled

from repo_server.curation.checks import run_checks
from repo_server.curation.tree import SourceTree
from signing.format.finding import Severity

_STRINGS = re.compile(
    rb"\b(?:curl|wget|iwr|eval|exec)\b|base64|\.ssh/|\.env\b|crontab|chmod \+x|password"
    rb"|ignore (?:all )?previous|do not (?:tell|mention)|silently",
    re.IGNORECASE,
)
_READINGS: dict[str, Callable[[set[Severity] | None, SourceTree], bool]] = {
    "block": lambda found, _: found is not None and Severity.BLOCK in found,
    "block or look": lambda found, _: found is not None and bool(found & {Severity.BLOCK, Severity.LOOK}),
    "stop everything (floor)": lambda _, __: True,
    "a dozen strings (peer)": lambda _, tree: any(
        _STRINGS.search(file.content) for file in tree.files.values()
    ),
}


def measure(part: str) -> None:
    """Print one line a reading."""
    seen = [
        (hostile, tree, {finding.severity for finding in run_checks(tree).findings})
        for hostile, tree in labelled(part)
    ]
    total = sum(hostile for hostile, _, _ in seen)
    print(f"{part}: {total} hostile, {len(seen) - total} honest")
    print(f"  {'':26s}{'precision':>10s}{'recall':>8s}{'hostile missed':>16s}{'honest stopped':>16s}")
    for reading, stops in _READINGS.items():
        stopped = [hostile for hostile, tree, found in seen if stops(found, tree)]
        right = sum(stopped)
        precision = right / len(stopped) if stopped else 0.0
        print(
            f"  {reading:26s}{precision:10.3f}{right / total:8.3f}{total - right:16d}{len(stopped) - right:16d}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="precision and recall of the checks")
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    chosen = parser.parse_args().part
    for part in PARTS if chosen == "all" else (chosen,):
        measure(part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
