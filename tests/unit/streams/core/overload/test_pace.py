"""A pace is kept evenly, whenever the work is done."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from streams.core.overload.pace import Pace

PER_S, LATE_S, RECORD = 1_000, 0.2, 50


@given(st.lists(st.floats(0.01, 0.5), min_size=10, max_size=60))
def test_no_second_has_more_than_the_rate_a_late_turn_and_one_record(waits_s: list[float]) -> None:
    """Turns come at any times, and do as much as they may."""
    pace = Pace(PER_S, LATE_S, 0.0)
    done: list[tuple[float, int]] = []
    for now_s in accumulate(waits_s):
        while pace.is_free(now_s):
            pace.spend(RECORD, now_s)
            done.append((now_s, RECORD))

    for at_s, _ in done:
        within = sum(pieces for when_s, pieces in done if at_s <= when_s < at_s + 1)
        assert within <= PER_S * (1 + LATE_S) + RECORD


def test_turns_that_are_seldom_late_keep_the_rate() -> None:
    """Twenty seconds at a turn every 100 ms are twenty seconds' worth."""
    pace = Pace(PER_S, LATE_S, 0.0)
    pieces = 0
    for turn in range(200):
        while pace.is_free(turn / 10):
            pace.spend(RECORD, turn / 10)
            pieces += RECORD

    assert 0.99 <= pieces / (20 * PER_S) <= 1.01
