"""The real `hive serve` as a process, and the other commands beside it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HIVE = [sys.executable, "-c", "from hive.cli import main; main()"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[3]), **more}


def hive(db: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*HIVE, "--db", str(db), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(**variables),
    )


def answer(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def serving(db: Path | str, *words: str, listen: str = "127.0.0.1:0", **variables: str) -> Iterator[str]:
    """Yield where it listens; afterwards it has ended by SIGTERM, within seconds and without a complaint."""
    process = subprocess.Popen(
        [*HIVE, "--db", str(db), "serve", "--listen", listen, *words],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("serving "), line + process.stderr.read()
        yield line.removeprefix("serving ").strip()
        process.terminate()
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
