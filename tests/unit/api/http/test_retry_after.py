"""Retry-After spreads rejected clients over time, so they return about as fast as they can be
served."""

from collections import Counter
from dataclasses import dataclass

import pytest

from api.http.retry_after import OVERBOOKING, RetryQueue


@dataclass
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def serve(queue: RetryQueue, clock: Clock, rate: int, seconds: int) -> None:
    for _ in range(rate * seconds):
        clock.now_s += 1 / rate
        queue.served()


def test_a_single_client_retries_in_a_second() -> None:
    """A client that is rejected repeatedly also gets one second, if the time slots of all earlier
    clients are over."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    for _ in range(5):
        assert queue.next_retry_s() == 1
        clock.now_s += 1


@pytest.mark.parametrize("rate_min", [10, 100])
def test_a_crowd_is_spread(rate_min: int) -> None:
    """Each second has as many slots as the rate allows. Only the last second takes all clients that
    remain."""
    queue = RetryQueue(rate_min=rate_min, s_max=30, clock_s=Clock())
    a_second = int(rate_min * OVERBOOKING)
    slots = Counter(queue.next_retry_s() for _ in range(40 * a_second))

    assert set(slots) == set(range(1, 31))
    assert all(abs(slots[second] - a_second) <= 1 for second in range(1, 30))
    assert slots.total() == 40 * a_second


@pytest.mark.parametrize(("rate", "expected"), [(5, 20), (40, 80), (400, 800)])
def test_the_spread_follows_the_rate_of_served_clients(rate: int, expected: int) -> None:
    """Each second gets twice as many slots as clients were served per second, within a tenth, and
    never fewer than twice the minimum rate."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=60, clock_s=clock)
    serve(queue, clock, rate, 30)
    slots = Counter(queue.next_retry_s() for _ in range(10 * expected))

    assert slots[5] == pytest.approx(expected, rel=0.1)


def test_the_rate_decays_when_no_client_is_served() -> None:
    """The rate falls to the minimum within seconds, so a store that has just recovered is not
    overloaded."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    serve(queue, clock, 1_000, 10)
    clock.now_s += 60
    slots = Counter(queue.next_retry_s() for _ in range(200))

    assert slots[5] == pytest.approx(10 * OVERBOOKING, abs=1)
