"""What a driver repeats is logged once in ten seconds."""

import logging

from shutterline.logs import Repeated
from streams.limited_log import INTERVAL_S


def line(name: str, template: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, template, args, None)


def test_a_driver_that_repeats_itself_is_heard_once_in_ten_seconds() -> None:
    """Lines that differ only in their values are the same line; another line is not delayed."""
    now_s = 100.0
    repeated = Repeated("driver", clock_s=lambda: now_s)

    first = [repeated.filter(line("driver.net", "no answer from %s", node)) for node in range(3)]
    other = repeated.filter(line("driver.net", "left the group"))
    now_s += INTERVAL_S
    last = line("driver.net", "no answer from %s", 4)
    later = repeated.filter(last)

    assert (first, other, later) == ([True, False, False], True, True)
    assert last.getMessage() == "no answer from 4 (2 more of this kind since the previous line)"


def test_other_loggers_are_never_limited() -> None:
    """The filter is on the handler, so it sees the lines of all loggers."""
    repeated = Repeated("driver", clock_s=lambda: 0.0)

    assert all(repeated.filter(line(name, "text")) for name in ("streams", "streams", "drivers", "drivers"))
