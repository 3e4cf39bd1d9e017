"""How long a command takes to start, as a ratio to the interpreter itself in the same run.

    python benchmarks/startup.py [--json FILE]

The floor is ``python -c pass``; peers are the imports of our libraries, which no program that uses them can beat. Rounds are
interleaved, so that other load falls on all commands alike; what counts is the processor's time, which is the whole time
of a start on a quiet machine, and of each command the least of it: the rest is noise.
``hive list-tenants`` is told too, beside the import of what opens its database, which is most of it.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from table import Row, main

ROUNDS = 9
BIN = Path(sys.executable).parent
HELP_AIM = "ratio <= 8"
FLOOR = "python -c pass"
COMMANDS = {
    FLOOR: [sys.executable, "-c", "pass"],
    "python -c 'import click' (peer)": [sys.executable, "-c", "import click"],
    "python -c 'import click, sqlalchemy.orm' (peer)": [sys.executable, "-c", "import click, sqlalchemy.orm"],
    "skillrepo --help": [str(BIN / "skillrepo"), "--help"],
    "skillrepo-client --help": [str(BIN / "skillrepo-client"), "--help"],
    "hive --help": [str(BIN / "hive"), "--help"],
    "hive list-tenants": [str(BIN / "hive"), "list-tenants"],
}


def measure() -> Iterator[Row]:
    """How long commands take to start."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HIVE_DB": f"{folder}/hive.db"}
        times: dict[str, list[float]] = {label: [] for label in COMMANDS}
        seconds(
            [str(BIN / "hive"), "register-tenant", "acme", "--tier", "free", "--profile", "base==1"],
            environment,
        )
        for words in COMMANDS.values():
            seconds(words, environment)  # warms the page cache and the bytecode
        for _ in range(ROUNDS):
            for label, words in COMMANDS.items():
                times[label].append(seconds(words, environment))
    floor = min(times.pop(FLOOR)) * 1e3
    for label, found in times.items():
        aim = HELP_AIM if label.endswith("--help") else ""
        yield Row(
            work=f"start: {label}", figure=min(found) * 1e3, unit="ms", against=FLOOR, floor=floor, aim=aim
        )


def seconds(words: list[str], environment: dict[str, str]) -> float:
    """Return the processor's time, of the system too, that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main(measure))
