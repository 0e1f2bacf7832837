"""The small pictures: true to their values, and short."""

import re

import pytest

from api.ops.drawing.charts import heat_strip, level_of, sparkline
from api.ops.drawing.trends import Trend, trend_of


@pytest.mark.parametrize(
    ("messages", "level"),
    [(None, "hx"), (0, "h0"), (1, "h1"), (9, "h1"), (10, "h2"), (999, "h3"), (1_000, "h4"), (10_000, "h5")],
)
def test_a_cell_has_the_level_of_its_records(messages: int | None, level: str) -> None:
    assert level == level_of(messages)


def test_equal_neighbours_are_one_rectangle() -> None:
    """So a quiet row of any length is one."""
    cells = re.findall(r'class="(h.)" x="(\d+)" width="(\d+)"', heat_strip([0] * 58 + [5, 200], "row"))

    assert [("h0", "0", "58"), ("h1", "58", "1"), ("h3", "59", "1")] == cells


def test_a_line_goes_from_nothing_to_its_most_and_has_gaps() -> None:
    shown = sparkline([0, 50, None, 100], 10, 90)

    assert ["0.0,23.0 40.0,12.0", "120.0,1.0"] == re.findall(r'points="([^"]*)"', shown)
    assert "At most 100 waited in 10 minutes, 90 now" in shown


def test_a_line_does_not_take_what_was_for_now() -> None:
    assert "not known now, 1,100 at last" in sparkline([0, 1_100, None], 10, None)


def test_a_line_without_values_says_so() -> None:
    assert "no data" in sparkline([None, None], 10, 0)
    assert "no data" in sparkline([], 0, 0)


def test_a_line_of_zeros_lies_at_the_bottom() -> None:
    assert '0.0,23.0 120.0,23.0"' in sparkline([0, 0], 1, 0)


@pytest.mark.parametrize(
    ("messages", "trend"),
    [
        ([100] * 6 + [200] * 6, Trend.GROWS),
        ([200] * 6 + [100] * 6, Trend.SHRINKS),
        ([200] * 6 + [205] * 6, Trend.STEADY),
        ([0] * 6 + [9] * 6, Trend.STEADY),
        ([100] * 6 + [200] * 5 + [None], None),
        ([100] * 6 + [None] * 6 + [200] * 6, None),
        ([100] * 6 + [None] * 5 + [200], Trend.GROWS),
        ([None] * 12, None),
        ([500], None),
    ],
)
def test_a_trend_compares_the_last_minute_with_the_one_before(
    messages: list[int | None], trend: Trend | None
) -> None:
    """A change below a tenth, or of a few records, is none. What is not known now has no trend."""
    assert trend == trend_of(messages)
