"""Every benchmark, each in a process of its own, as one table.

    python benchmarks/all.py [--full] [--json FILE] [--markdown FILE] [--docs] [NAME …]

A benchmark that fails does not stop the rest: the table says so in its place, and the exit status is 1. An aim that is
missed is no failure: it is told below the table, by how much. ``--docs`` puts the table into docs/performance.md. ``--full`` lets those that can measure larger sizes do so.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine
from table import Row, load, missed, render, store

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->"
LIMIT_SECONDS, GRACE_SECONDS = 900, 20
BENCHMARKS = (
    "startup",
    "birth",
    "client_scale",
    "publish_scale",
    "transactions",
    "jobs",
    "serving",
    "pkg_repositories",
    "review_speed",
    "detection",
)
WITH_FULL = frozenset({"pkg_repositories"})


def run(name: str, *options: str) -> list[Row]:
    """Return the rows of one benchmark; one row that says that it failed, if it did."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        # Its temporary files stand in this folder, so that one that is ended leaves nothing behind. Servers that it
        # starts as other users, PostgreSQL and nginx, have to reach theirs below it.
        Path(folder).chmod(0o711)
        target = Path(folder) / "rows.json"
        process = subprocess.Popen(
            [sys.executable, str(HERE / f"{name}.py"), "--json", str(target), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # its own table; the rows stand in the one below
            env={**os.environ, "TMPDIR": folder},
            start_new_session=True,
        )
        try:
            status = process.wait(LIMIT_SECONDS)
            if status == 0:
                return load(target.read_text("utf-8"))
            why = f"exit status {status}"
        except subprocess.TimeoutExpired:
            why = f"not done after {LIMIT_SECONDS} s"
        except (OSError, ValueError, TypeError, KeyError) as error:
            why = f"no rows: {error}"
        finally:
            _end(process)
    print(f"{name} FAILED: {why}", file=sys.stderr)
    return [Row(work=f"benchmarks/{name}.py", figure=None, note=f"failed: {why}")]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a benchmark that is not done, as Ctrl-C would, so that it ends its servers; then whatever it left."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def page_with(page: str, table: str) -> str:
    """Return the page with ``table`` between its markers.

    Raises:
        ValueError: the page does not have both markers once.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"docs/performance.md needs {BEGIN.strip()} and {END} once each")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def report(facts: dict[str, str], rows: list[Row]) -> str:
    """Return markdown: the machine, the table, and what was missed."""
    told = "; ".join(f"{name} {value}" for name, value in facts.items())
    below = missed(rows)
    return "\n".join(
        [f"{told}.", "", render(rows), *([""] if below else []), *(f"- {line}" for line in below), ""]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="every benchmark as one table")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--full", action="store_true", help="also the sizes that take some minutes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows here")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the table here")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(BENCHMARKS):
        parser.error(f"no benchmark: {', '.join(sorted(unknown))}")
    if chosen.docs and chosen.names:
        parser.error("docs/performance.md shows every benchmark, of one run")
    page = page_with(PAGE.read_text("utf-8"), "") if chosen.docs else ""  # before the minutes of measuring

    facts, rows = machine(), []
    for name in chosen.names or BENCHMARKS:
        print(f"{name} …", end=" ", flush=True, file=sys.stderr)
        begun = time.monotonic()
        rows += run(name, *(["--full"] if chosen.full and name in WITH_FULL else []))
        print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
        if chosen.json is not None:  # each time: a run that is broken off leaves what it has
            chosen.json.write_text(store(rows, machine=facts), encoding="utf-8")
    text = report(facts, rows)
    print(text)
    if chosen.markdown is not None:
        chosen.markdown.write_text(text, encoding="utf-8")
    if page:
        PAGE.write_text(page_with(page, text), encoding="utf-8")
    return int(any(row.note.startswith("failed: ") for row in rows))


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # and the benchmark that runs is ended
    sys.exit(main())
