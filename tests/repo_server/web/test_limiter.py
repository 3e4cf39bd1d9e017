"""Token buckets: bursts, refilling, waiting, and a table that stays small."""

from datetime import timedelta

import pytest

from repo_server.desk.problems import TooManyRequestsError
from repo_server.web import limiter as module
from repo_server.web.limiter import Limiter
from tests.repo_server.web.published import NOW


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_a_burst_and_then_the_rate() -> None:
    limiter = Limiter(capacity=3, per_second=2)
    for _ in range(3):
        limiter.take("a", now=NOW)
    with pytest.raises(TooManyRequestsError) as caught:
        limiter.take("a", now=NOW)
    assert caught.value.seconds == 1
    limiter.take("a", now=NOW + seconds(0.5))
    with pytest.raises(TooManyRequestsError):
        limiter.take("a", now=NOW + seconds(0.5))


def test_keys_do_not_share() -> None:
    limiter = Limiter(capacity=1, per_second=0.1)
    limiter.take("a", now=NOW)
    limiter.take("b", now=NOW)
    with pytest.raises(TooManyRequestsError) as caught:
        limiter.take("a", now=NOW)
    assert caught.value.seconds == 10


def test_a_refusal_costs_nothing() -> None:
    limiter = Limiter(capacity=10, per_second=1)
    limiter.take("a", now=NOW, cost=9)
    for _ in range(5):
        with pytest.raises(TooManyRequestsError):
            limiter.take("a", now=NOW, cost=5)
    limiter.take("a", now=NOW + seconds(4), cost=5)


def test_time_that_goes_back_gives_nothing() -> None:
    limiter = Limiter(capacity=1, per_second=1)
    limiter.take("a", now=NOW)
    with pytest.raises(TooManyRequestsError):
        limiter.take("a", now=NOW - seconds(100))


def test_it_never_holds_more_than_its_capacity() -> None:
    limiter = Limiter(capacity=2, per_second=1)
    limiter.take("a", now=NOW)
    later = NOW + seconds(1000)
    limiter.take("a", now=later, cost=2)
    with pytest.raises(TooManyRequestsError):
        limiter.take("a", now=later)


def test_the_table_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_KEYS", 100)
    limiter = Limiter(capacity=1, per_second=1)
    for number in range(1000):
        limiter.take(f"address-{number}", now=NOW)
    assert len(limiter._buckets) == 100
