"""Rejected clients retry spread out, about as fast as they can be served."""

from collections import Counter
from dataclasses import dataclass

import pytest

from api.http.retry_after import OVERBOOKING, RetryQueue


@dataclass
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def serve(again: RetryQueue, clock: Clock, rate: int, seconds: int) -> None:
    for _ in range(rate * seconds):
        clock.now_s += 1 / rate
        again.served()


def test_one_alone_comes_in_a_second() -> None:
    """Also again and again, when all before have had their turn."""
    clock = Clock()
    again = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    for _ in range(5):
        assert again.next_retry_s() == 1
        clock.now_s += 1


@pytest.mark.parametrize("rate_min", [10, 100])
def test_a_crowd_is_spread(rate_min: int) -> None:
    """In each second as many as are asked for, none beyond the limit but those who have no place before."""
    again = RetryQueue(rate_min=rate_min, s_max=30, clock_s=Clock())
    a_second = int(rate_min * OVERBOOKING)
    told = Counter(again.next_retry_s() for _ in range(40 * a_second))

    assert set(told) == set(range(1, 31))
    assert all(abs(told[second] - a_second) <= 1 for second in range(1, 30))
    assert told.total() == 40 * a_second


@pytest.mark.parametrize(("rate", "expected"), [(5, 20), (40, 80), (400, 800)])
def test_the_spread_follows_how_fast_they_are_served(rate: int, expected: int) -> None:
    """Within a tenth after some seconds, and never closer than the least rate would have it."""
    clock = Clock()
    again = RetryQueue(rate_min=10, s_max=60, clock_s=clock)
    serve(again, clock, rate, 30)
    told = Counter(again.next_retry_s() for _ in range(10 * expected))

    assert told[5] == pytest.approx(expected, rel=0.1)


def test_when_nobody_is_served_any_more_the_rate_is_forgotten() -> None:
    """It falls to the least in some seconds, so that a store that comes back is not run over."""
    clock = Clock()
    again = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    serve(again, clock, 1_000, 10)
    clock.now_s += 60
    told = Counter(again.next_retry_s() for _ in range(200))

    assert told[5] == pytest.approx(10 * OVERBOOKING, abs=1)
