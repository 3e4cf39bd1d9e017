"""Starts a program under limits that it cannot lift (edge): ``launch.py MEMORY CPU_SECONDS FILE_BYTES ARGV…``.

A program of its own, because a limit is a property of a process: setting it between fork and exec of a process
with threads is not safe. The limits stay with everything that the program starts.
"""

import os
import resource
import sys


def main(words: list[str]) -> None:
    """Limit this process and become ``words[3:]``."""
    memory, seconds, size = (int(word) for word in words[:3])
    # Linux counts in RLIMIT_DATA what is really used; address space is reserved by the terabyte by some runtimes.
    counted = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    for what, amount in (
        (counted, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1_024),
    ):
        _, hard = resource.getrlimit(what)
        limit = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(what, (limit, limit))
    os.execvp(words[3], words[3:])  # noqa: S606 - the argument list comes from our own process


if __name__ == "__main__":
    main(sys.argv[1:])
