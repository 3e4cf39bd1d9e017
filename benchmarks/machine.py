"""What was measured on: the machine, told beside the figures because they mean nothing without it."""

import os
import platform
import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path


def machine() -> dict[str, str]:
    """Return the facts, in the order in which they are told; what this system does not tell is left out."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        "processor": _line("/proc/cpuinfo", "model name") or platform.processor(),
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "file system": _file_system(Path(tempfile.gettempdir()).resolve()),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    return {name: value for name, value in facts.items() if value}


def _line(file: str, key: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / 2**30:.0f} GiB"


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds ``folder``, where the benchmarks work."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    held = [(place, kind) for place, kind in mounts if folder.is_relative_to(place)]
    # The last one of the longest: what was mounted later covers what was mounted there before.
    return max(enumerate(held), key=lambda found: (len(found[1][0]), found[0]))[1][1] if held else ""
