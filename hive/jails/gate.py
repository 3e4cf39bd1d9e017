"""A program that becomes another one when it is told to, and ends when nobody is there any more to tell it (edge).

    python -I -S gate.py PROGRAM ARGUMENT…

It waits for one byte. Whoever starts it notes its number first and sends the byte then; so there is no moment in which a
command runs that is not noted, wherever its caller is killed.
"""

import os
import sys


def main() -> None:
    """Wait, then be the command."""
    if os.read(0, 1):
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - that is its purpose: an argv list, no shell


if __name__ == "__main__":
    main()
