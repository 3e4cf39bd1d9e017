"""The attacker of the self-test: swaps two names as fast as the kernel allows, for as long as its parent lives (edge).

    swapper.py FIRST SECOND PARENT_PID

A program of its own, so that attacker and installer truly run at once. renameat2(RENAME_EXCHANGE) is one step; where the
system has none, four renames do, with a moment in which the name is absent.
"""

import ctypes
import os
import sys

_HERE = -100
_EXCHANGE = 2


def main(first: bytes, second: bytes, parent: int) -> None:
    """Swap until the parent is gone."""
    aside = first + b".aside"
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while os.getppid() == parent:
        for _ in range(200):
            if exchange is not None:
                exchange(_HERE, first, _HERE, second, _EXCHANGE)
            else:
                os.rename(first, aside)  # noqa: PTH104 - bytes, as fast as can be
                os.rename(second, first)  # noqa: PTH104
                os.rename(first, second)  # noqa: PTH104
                os.rename(aside, first)  # noqa: PTH104


if __name__ == "__main__":
    main(os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), int(sys.argv[3]))
