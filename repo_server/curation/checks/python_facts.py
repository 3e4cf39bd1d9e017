"""What is known of a value in a Python program, and what the program was noticed to do."""

import enum
from typing import NamedTuple


class Kind(enum.StrEnum):
    """What was noticed."""

    FETCHED_RUNS = "fetched-runs"
    FETCHED_FILE_RUNS = "fetched-file-runs"
    DECODED_RUNS = "decoded-runs"
    SECRET_LEAVES = "secret-leaves"  # noqa: S105 - no password
    KEY_LEAVES = "key-leaves"
    DESTROYS = "destroys"
    DETOUR = "detour"
    WRITES = "writes"


class Holds(enum.IntFlag):
    """What a value can be."""

    NOTHING = 0
    FETCHED = 1
    DECODED = 2
    SECRET = 4
    BROAD = 8  # below the home folder, anything
    SAVED = 16  # a file, or a path of one, that holds something fetched
    TAKEN = 32  # what the function was called with
    SHELL = 64  # a process that runs what it reads
    SHIPPED = 128  # what a file says that is no program
    KEY = 256  # the key of a well-known service


class Deed(NamedTuple):
    """One thing that a program does: its line, from 1, and for `Kind.WRITES` the path, for others a detail."""

    line: int
    kind: Kind
    detail: str = ""


class Summary(NamedTuple):
    """What a module offers to others: what its names hold or return, which functions run or send what they take, what is saved."""

    holds: dict[str, Holds]
    runs: frozenset[str]
    sends: frozenset[str]
    saved: frozenset[str]
