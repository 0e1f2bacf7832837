"""A partition stops after exactly as many dead letters as its limits say."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.dead_letter_limit import DeadLetterLimit


def stopped_at(outcomes: Iterable[bool], limit: DeadLetterLimit) -> int | None:
    """After how many records the partition stops; None when it does not."""
    for number, dead in enumerate(outcomes, 1):
        if limit.record(dead) is not None:
            return number
    return None


def production() -> DeadLetterLimit:
    return DeadLetterLimit(in_a_row_max=100, window_records=1_000, ratio_max=0.5)


def test_a_hundred_in_a_row_stop_it() -> None:
    """99 do not stop it; the returned text has the number and the limit."""
    limit = production()

    assert stopped_at([True] * 99, limit) is None
    assert limit.record(True) == "100 dead letters in a row (limit 100)"


def test_one_good_record_begins_the_row_anew() -> None:
    """99 dead letters, one good record and 99 more dead letters do not stop it."""
    outcomes = [True] * 99 + [False] + [True] * 99

    assert stopped_at(outcomes, production()) is None
    assert stopped_at([*outcomes, True], production()) == 200


def test_more_than_half_of_the_last_thousand_stop_it() -> None:
    """500 do not, 501 do; not before a thousand records were seen."""
    half = [True, False] * 500
    limit = production()

    assert stopped_at(half, limit) is None
    assert limit.record(True) is None  # It replaced an older dead letter in the window.
    assert limit.record(True) == "501 of the last 1000 records were dead letters"


def test_below_a_full_window_the_share_does_not_count() -> None:
    """Two dead letters among the first three records do not mean a bad deploy."""
    assert stopped_at([True, True, False] * 333, production()) is None
    assert stopped_at([True, True, False] * 334, production()) == 1_000


def test_what_left_the_window_is_forgotten() -> None:
    """500 dead letters, a thousand good records, and 500 more dead letters do not stop it."""
    outcomes = [True, False] * 500 + [False] * 1_000 + [True, False] * 500

    assert stopped_at(outcomes, production()) is None


@pytest.mark.parametrize("ratio_max", [0.2, 0.5, 1.0])
@given(outcomes=st.lists(st.booleans(), max_size=60))
def test_it_stops_exactly_when_a_limit_is_passed(outcomes: list[bool], ratio_max: float) -> None:
    """For any outcomes, it stops at the first record after which one of the two rules holds."""
    expected = None
    for number in range(1, len(outcomes) + 1):
        row, window = outcomes[max(0, number - 4) : number], outcomes[max(0, number - 10) : number]
        in_a_row = len(row) == 4 and all(row)
        too_many = len(window) == 10 and sum(window) > ratio_max * 10
        if in_a_row or too_many:
            expected = number
            break

    limit = DeadLetterLimit(in_a_row_max=4, window_records=10, ratio_max=ratio_max)

    assert stopped_at(outcomes, limit) == expected
