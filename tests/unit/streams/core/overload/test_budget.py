"""The budget of the bulk lane falls at once when others are slow, and recovers slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.overload.budget import BulkBudget


def budget() -> BulkBudget:
    return BulkBudget(100_000, redis_ms_max=50, oldest_s_max=3.0)


@pytest.mark.parametrize(
    ("redis_ms", "oldest_s", "per_s"),
    [(50.0, 3.0, 100_000), (50.1, 0.0, 50_000), (0.0, 3.1, 50_000), (60.0, 9.0, 50_000)],
)
def test_it_is_halved_when_redis_or_the_normal_lane_is_slow(
    redis_ms: float, oldest_s: float, per_s: int
) -> None:
    changed = budget()
    changed.observe(redis_ms=redis_ms, oldest_s=oldest_s)

    assert changed.per_s == per_s


@given(st.lists(st.booleans(), max_size=60))
def test_it_never_stops_and_never_exceeds_its_maximum(slow: list[bool]) -> None:
    """It falls by half at most, and grows by a twentieth of the maximum."""
    changed = budget()
    for is_slow in slow:
        before = changed.per_s
        changed.observe(redis_ms=99.0 if is_slow else 0.1, oldest_s=0.0)

        assert 5_000 <= changed.per_s <= 100_000
        assert changed.per_s - before <= 5_000
        assert changed.per_s >= before // 2
        assert (changed.per_s < before) == (is_slow and before > 5_000)


def test_it_comes_back_within_twenty_good_seconds() -> None:
    changed = budget()
    for _ in range(10):
        changed.observe(redis_ms=99.0, oldest_s=0.0)
    assert changed.per_s == 5_000
    for _ in range(19):
        changed.observe(redis_ms=1.0, oldest_s=0.0)
    assert changed.per_s == 100_000
