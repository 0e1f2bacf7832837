"""Choosing the objects to keep warm: the most viewed ones."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.jobs.warm import most_viewed, views_of


def test_views_are_counted_by_object() -> None:
    """Hits and misses both count; a line that a crash cut short does not."""
    lines = [
        "2026-01-01T00:00:00Z MISS /a%20b\n",
        "2026-01-01T00:00:01Z HIT /a%20b\n",
        "…Z - /c\n",
        "2026-01\n",
        "\n",
    ]

    assert Counter({"/a%20b": 2, "/c": 1}) == views_of(lines)


@pytest.mark.parametrize(("objects", "expected"), [(0, 0), (1, 1), (9_999, 1), (19_999, 1), (20_000, 2)])
def test_a_ten_thousandth_of_the_objects_is_chosen_and_at_least_one(objects: int, expected: int) -> None:
    """The result is empty only if nothing was viewed."""
    views = Counter({f"/{number}": 1 for number in range(objects)})

    assert len(most_viewed(views, 0.0001)) == expected


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 5)), st.floats(0.01, 1.0, exclude_min=True))
def test_nothing_left_out_was_viewed_more_than_what_was_chosen(views: dict[str, int], share: float) -> None:
    """The result does not depend on the order of the log either."""
    chosen = most_viewed(Counter(views), share)

    left_out = [count for path, count in views.items() if path not in chosen]
    assert max(left_out, default=0) <= min((views[path] for path in chosen), default=9)
    assert chosen == most_viewed(Counter(dict(reversed(views.items()))), share)
