"""How long ``--help`` takes, as a ratio to the interpreter itself in the same run.

The floor is ``python -c pass``; a peer is ``python -c 'import click'``, which no click program can beat. Run on
its own or by ``make bench``. Prints minimum and median of the rounds; the ceiling of 0.15 s is judged on the
minimum, because on a shared machine the rest is noise.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
BIN = Path(sys.executable).parent
CEILING_SECONDS = 0.15


def seconds(words: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> int:
    rows = {
        "python -c pass (floor)": [sys.executable, "-c", "pass"],
        "python -c 'import click' (peer)": [sys.executable, "-c", "import click"],
        "skillrepo --help": [str(BIN / "skillrepo"), "--help"],
        "skillrepo-client --help": [str(BIN / "skillrepo-client"), "--help"],
        "hive --help": [str(BIN / "hive"), "--help"],
    }
    times: dict[str, list[float]] = {label: [] for label in rows}
    for words in rows.values():
        seconds(words)  # warm the page cache and the bytecode
    for _ in range(ROUNDS):  # interleaved, so that other load falls on all rows alike
        for label, words in rows.items():
            times[label].append(seconds(words))
    floor = min(times["python -c pass (floor)"])
    print(f"{'':34s}{'min ms':>8s}{'median':>8s}{'x floor':>9s}")
    for label, found in times.items():
        print(
            f"{label:34s}{min(found) * 1e3:8.0f}{statistics.median(found) * 1e3:8.0f}{min(found) / floor:9.1f}"
        )
    slow = [label for label, found in times.items() if min(found) > CEILING_SECONDS]
    if slow:
        print(f"over {CEILING_SECONDS} s: {', '.join(slow)}")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
