#!/usr/bin/env python3
"""What takes up space under a folder, as one JSON object on stdout. Reads names and sizes only; changes nothing.

    report.py [FOLDER] [--top N] [--newer-than DAYS] [--max-entries N]

Promises: no symbolic link is followed (each folder is opened relative to the handle of the one above it and
must not be a link), no other file system is entered, no file's content is read, a file with several names
is counted once, and depth, number of entries and answer are limited. Sizes are bytes: `apparent` is what a
file says of itself, `allocated` is what it takes on disk. Python 3.9 or newer, standard library only.

Exit status: 0 done, 2 usage, 3 not found, 12 not allowed.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

MAX_DEPTH = 64  # each level holds one open handle
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DAY = 86_400


class ReportError(Exception):
    """Why there is no report."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Total:
    """What was counted in one place."""

    files: int = 0
    apparent: int = 0
    allocated: int = 0

    def add(self, facts: os.stat_result) -> None:
        """Count one file."""
        self.files += 1
        self.apparent += facts.st_size
        self.allocated += allocated(facts)

    def shown(self) -> dict[str, int]:
        """Return the numbers for the report."""
        return {"files": self.files, "apparent": self.apparent, "allocated": self.allocated}


@dataclass
class Survey:
    """Everything that is found, and how much may still be looked at."""

    top: int
    entries_left: int
    newer_than: float
    device: int = 0
    whole: Total = field(default_factory=Total)
    children: dict[str, Total] = field(default_factory=dict)
    grown: Total = field(default_factory=Total)
    largest: list[tuple[int, str, float]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    folders: int = 0
    links: int = 0
    others: int = 0
    unreadable: int = 0
    too_deep: int = 0
    foreign: int = 0

    def take_file(self, path: str, child: str, facts: os.stat_result) -> None:
        """Count one regular file, unless another of its names was counted before."""
        if facts.st_nlink > 1:
            if facts.st_ino in self.seen:
                return
            self.seen.add(facts.st_ino)
        self.whole.add(facts)
        self.children.setdefault(child, Total()).add(facts)
        if facts.st_mtime >= self.newer_than:
            self.grown.add(facts)
        item = (allocated(facts), path, facts.st_mtime)
        if len(self.largest) < self.top:
            heapq.heappush(self.largest, item)
        else:
            heapq.heappushpop(self.largest, item)


def allocated(facts: os.stat_result) -> int:
    """Return the bytes that a file takes on disk (POSIX counts blocks of 512)."""
    return facts.st_blocks * 512


def safe(name: str) -> str:
    """Return a file name as text that is valid in JSON, whatever bytes it was made of."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def entries(folder: int, survey: Survey) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the names in an open folder with what they are, links not followed."""
    with os.scandir(folder) as names:
        for entry in names:
            if survey.entries_left <= 0:
                return
            survey.entries_left -= 1
            try:
                yield entry.name, os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                survey.unreadable += 1


class Place(NamedTuple):
    """Where a folder is: path with a final slash, the direct child of the root it lies in, levels below the root."""

    prefix: str = ""
    child: str = ""
    depth: int = 0


def walk(folder: int, place: Place, survey: Survey) -> None:
    """Count what is in the open folder and below it. Closes the handle."""
    try:
        for name, facts in entries(folder, survey):
            path = f"{place.prefix}{safe(name)}"
            child = place.child or safe(name)
            if stat.S_ISREG(facts.st_mode):
                survey.take_file(path, child, facts)
            elif stat.S_ISLNK(facts.st_mode):
                survey.links += 1
            elif not stat.S_ISDIR(facts.st_mode):
                survey.others += 1
            elif facts.st_dev != survey.device:
                survey.foreign += 1
            elif place.depth >= MAX_DEPTH:
                survey.too_deep += 1
            else:
                survey.folders += 1
                enter(folder, name, Place(f"{path}/", child, place.depth + 1), survey)
    except OSError:
        survey.unreadable += 1
    finally:
        os.close(folder)


def enter(parent: int, name: str, place: Place, survey: Survey) -> None:
    """Open a folder relative to its parent and count it; a folder swapped for a link is not entered."""
    try:
        handle = os.open(name, OPEN_FOLDER, dir_fd=parent)
    except OSError:
        survey.unreadable += 1
        return
    if os.fstat(handle).st_dev != survey.device:
        survey.foreign += 1
        os.close(handle)
        return
    walk(handle, place, survey)


def space(handle: int) -> dict[str, Any]:
    """Return how full the file system is, as seen by a user without privileges."""
    facts = os.fstatvfs(handle)
    room = facts.f_blocks - facts.f_bfree + facts.f_bavail
    return {
        "bytes": facts.f_blocks * facts.f_frsize,
        "bytes_available": facts.f_bavail * facts.f_frsize,
        "used_percent": round(100 * (1 - facts.f_bavail / room), 1) if room else None,
        "files": facts.f_files,
        "files_available": facts.f_favail,
    }


def make_report(folder: Path, survey: Survey) -> dict[str, Any]:
    """Survey the folder and return the report.

    Raises:
        ReportError: it is not there, is not a folder, or is a link.
    """
    try:
        handle = os.open(folder, OPEN_FOLDER)
    except FileNotFoundError:
        raise ReportError("not-found", 3, "there is no such folder") from None
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        raise ReportError("not-allowed", 12, f"not a folder that can be read, or a link: {reason}") from None
    survey.device = os.fstat(handle).st_dev
    filesystem = space(handle)
    walk(handle, Place(), survey)
    complete = survey.entries_left > 0 and not survey.unreadable and not survey.too_deep
    biggest = sorted(survey.children.items(), key=lambda item: (-item[1].allocated, item[0]))
    return {
        "ok": True,
        "folder": safe(str(folder)),
        "complete": complete,
        "filesystem": filesystem,
        "total": survey.whole.shown(),
        "grown": survey.grown.shown(),
        "children": [{"name": name, **total.shown()} for name, total in biggest[: survey.top]],
        "largest_files": [
            {"path": path, "allocated": size, "modified": int(modified)}
            for size, path, modified in sorted(survey.largest, key=lambda item: (-item[0], item[1]))
        ],
        "folders": survey.folders,
        "not_followed": {
            "links": survey.links,
            "other_filesystems": survey.foreign,
            "too_deep": survey.too_deep,
        },
        "not_files": survey.others,
        "unreadable": survey.unreadable,
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ReportError("usage", 2, message)


def number(least: int, most: int) -> Any:
    """Return a reader for an option that is a whole number within two bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):  # noqa: PLR2004
            raise argparse.ArgumentTypeError(f"not a whole number from {least} to {most}")
        return int(text)

    return read


def main(arguments: list[str]) -> int:
    """Print one report and return the exit status."""
    parser = _Parser(prog="report", allow_abbrev=False, description="What takes up space under a folder.")
    parser.add_argument("folder", nargs="?", type=Path, default=None, help="default: the home folder")
    parser.add_argument("--top", type=number(1, 1000), default=20, help="how many names to list (20)")
    parser.add_argument(
        "--newer-than", type=number(0, 3650), default=1, help="days back that count as grown (1)"
    )
    parser.add_argument(
        "--max-entries", type=number(1, 10_000_000), default=500_000, help="stop there (500000)"
    )
    try:
        options = parser.parse_args(arguments)
        since = time.time() - options.newer_than * DAY
        survey = Survey(top=options.top, entries_left=options.max_entries, newer_than=since)
        report = make_report(options.folder or Path.home(), survey)
    except ReportError as problem:
        print(f"report: error[{problem.code}]: {problem}", file=sys.stderr)
        print(json.dumps({"ok": False, "error": {"code": problem.code, "message": str(problem)}}))
        return problem.status
    print(json.dumps(report, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
