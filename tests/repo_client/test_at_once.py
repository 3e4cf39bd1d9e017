"""A few things at once: all results in order, or one error and nothing left over."""

import threading
import time
from functools import partial

import pytest

from repo_client.at_once import Stopped, at_once


def test_results_come_in_the_order_of_the_tasks_and_few_run_at_a_time() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def task(number: int, _: Stopped) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01 * (number % 3))
        with lock:
            running[0] -= 1
        return number

    assert at_once([partial(task, number) for number in range(12)], most=3, undo=print) == tuple(range(12))
    assert 1 < most[0] <= 3
    assert at_once([], most=3, undo=print) == ()


def test_one_that_fails_ends_the_others_and_undoes_what_was_done() -> None:
    undone: list[int] = []
    second_is_running, ended = threading.Event(), threading.Event()

    def done(_: Stopped) -> int:
        return 1

    def failing(_: Stopped) -> int:
        assert second_is_running.wait(10)
        raise ValueError("no such package")

    def long(stopped: Stopped) -> int:
        second_is_running.set()
        while not stopped():
            time.sleep(0.005)
        ended.set()
        raise ValueError("not fetched to its end")

    with pytest.raises(ValueError, match="no such package"):
        at_once([done, failing, long], most=3, undo=undone.append)
    assert undone == [1]
    assert ended.is_set()


def test_what_has_not_begun_does_not_begin() -> None:
    begun: list[int] = []

    def failing(_: Stopped) -> int:
        raise ValueError("no")

    def later(number: int, stopped: Stopped) -> int:
        if not stopped():
            begun.append(number)
            time.sleep(0.05)
        return number

    undone: list[int] = []
    with pytest.raises(ValueError, match="no"):
        at_once([failing, *(partial(later, number) for number in range(50))], most=1, undo=undone.append)
    assert len(begun) <= 2
    assert set(begun) <= set(undone)
