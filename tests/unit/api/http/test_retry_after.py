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


def serve(queue: RetryQueue, clock: Clock, rate: int, seconds: int) -> None:
    for _ in range(rate * seconds):
        clock.now_s += 1 / rate
        queue.served()


def test_a_single_client_retries_in_a_second() -> None:
    """Also repeatedly, if all earlier clients have had their turn."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    for _ in range(5):
        assert queue.next_retry_s() == 1
        clock.now_s += 1


@pytest.mark.parametrize("rate_min", [10, 100])
def test_a_crowd_is_spread(rate_min: int) -> None:
    """Each second has as many slots as the rate allows; only the last one is shared by all the rest."""
    queue = RetryQueue(rate_min=rate_min, s_max=30, clock_s=Clock())
    a_second = int(rate_min * OVERBOOKING)
    slots = Counter(queue.next_retry_s() for _ in range(40 * a_second))

    assert set(slots) == set(range(1, 31))
    assert all(abs(slots[second] - a_second) <= 1 for second in range(1, 30))
    assert slots.total() == 40 * a_second


@pytest.mark.parametrize(("rate", "expected"), [(5, 20), (40, 80), (400, 800)])
def test_the_spread_follows_the_rate_of_served_clients(rate: int, expected: int) -> None:
    """Within a tenth after some seconds, and never below the minimum rate."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=60, clock_s=clock)
    serve(queue, clock, rate, 30)
    slots = Counter(queue.next_retry_s() for _ in range(10 * expected))

    assert slots[5] == pytest.approx(expected, rel=0.1)


def test_the_rate_decays_when_no_client_is_served() -> None:
    """It falls to the minimum within seconds, so a store that has just recovered is not overloaded."""
    clock = Clock()
    queue = RetryQueue(rate_min=10, s_max=30, clock_s=clock)
    serve(queue, clock, 1_000, 10)
    clock.now_s += 60
    slots = Counter(queue.next_retry_s() for _ in range(200))

    assert slots[5] == pytest.approx(10 * OVERBOOKING, abs=1)
