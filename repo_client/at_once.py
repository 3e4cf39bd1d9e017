"""Doing a few things at once that wait for the network, a disk or a digest, and not all of them (edge)."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Stopped = Callable[[], bool]


def at_once(
    tasks: Sequence[Callable[[Stopped], T]], *, most: int, undo: Callable[[T], None]
) -> tuple[T, ...]:
    """Return what ``tasks`` return, in their order; all of them, or the error of the first that failed.

    Args:
        tasks: each is given what says whether its result is of no use any more; it may raise then.
        most: so many run at a time.
        undo: is given every result that is of no use after an error, or when we are interrupted.
    """
    if not tasks:
        return ()
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=most) as pool:
        running: list[Future[T]] = [pool.submit(task, stop.is_set) for task in tasks]
        try:
            return tuple(future.result() for future in running)
        except BaseException:
            stop.set()
            for future in running:
                if not future.cancel() and future.exception() is None:
                    undo(future.result())
            raise
