"""Python's search for garbage in circles, paused while large documents become values.

A list of 35,000 packages is a million values, none of which refers back to another. Python looks for circles among
them again and again while they are made, which takes a third of the time and finds nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Look for no circles inside of this block; for what makes many values, and no circle. Also a decorator."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
