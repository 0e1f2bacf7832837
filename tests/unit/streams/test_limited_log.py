"""Log lines that anybody can cause."""

import logging

import pytest

from streams.limited_log import LimitedLog


def test_a_kind_has_one_line_per_interval_with_the_number_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first event is logged at once; another kind has lines of its own."""
    now_s = [100.0]
    limited = LimitedLog(logging.getLogger("limited"), interval_s=10, clock_s=lambda: now_s[0])
    for _ in range(1_000):
        limited.warning("malformed", "a malformed request")
    limited.warning("slow", "a slow request")
    now_s[0] += 10
    limited.warning("malformed", "%s malformed request", "another")
    limited.warning("malformed", "one more")

    assert [record.getMessage() for record in caplog.records] == [
        "a malformed request",
        "a slow request",
        "another malformed request (999 more of this kind since the previous line)",
    ]
