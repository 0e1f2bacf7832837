"""Quantiles of what a histogram counted in the last minute."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.workers.buckets import Buckets, Window

INFINITE = float("inf")
BOUNDS = (0.1, 0.2, 0.5, INFINITE)


def counted(*values: float) -> Buckets:
    return Buckets(BOUNDS, [sum(value <= bound for value in values) for bound in BOUNDS], sum(values))


def test_without_values_there_is_no_figure() -> None:
    nothing = counted()

    assert (None, None, 0) == (nothing.quantile(0.99), nothing.mean(), nothing.count)


def test_values_of_a_bucket_count_as_spread_evenly() -> None:
    """As in Prometheus: the middle of ten values between 0.1 and 0.2 is 0.15."""
    assert 0.15 == pytest.approx(counted(*[0.13] * 10).quantile(0.5))
    assert 0.05 == pytest.approx(counted(*[0.01] * 10).quantile(0.5))


def test_above_the_last_bound_it_is_that_bound() -> None:
    """How much more it is, nobody knows."""
    assert 0.5 == counted(0.05, 700.0, 800.0).quantile(0.99)


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_value_of_that_rank(values: list[float], q: float) -> None:
    found = counted(*values).quantile(q)
    ranked = sorted(values)
    exact = next(value for number, value in enumerate(ranked, 1) if number >= q * len(values) - 1e-9)

    assert found is not None
    high = min(bound for bound in BOUNDS if exact <= bound)
    low = max((bound for bound in BOUNDS if bound < high), default=0.0)
    assert low <= found <= (low if high == INFINITE else high) + 1e-9


def test_a_window_forgets_what_is_older() -> None:
    """A minute of slow batches is over, so the 99th percentile is that of the fast ones."""
    window, slow = Window(60.0), [0.4] * 100
    for at_s in (0, 5):
        window.add(at_s, {"a": counted(*slow)})
    fast = [0.01] * 10
    within = window.add(30, {"a": counted(*slow, *fast)})["a"]
    after = window.add(66, {"a": counted(*slow, *fast)})["a"]
    later = window.add(95, {"a": counted(*slow, *fast)})["a"]

    assert (110, 10, 0) == (within.count, after.count, later.count)
    assert 0.4 < (within.quantile(0.99) or 0)
    assert 0.1 == pytest.approx(after.quantile(1.0))


def test_what_appears_later_counts_from_nothing() -> None:
    """A group whose first batch came after the oldest reading."""
    window = Window(60.0)
    window.add(0, {})

    assert 1 == window.add(70, {"new": counted(0.3)})["new"].count


def test_a_window_remembers_as_much_as_it_needs() -> None:
    window = Window(60.0)
    for at_s in range(0, 3_600, 5):
        window.add(at_s + random.random(), {})

    assert 13 <= len(window._readings) <= 14
