"""Whether what waits grows or shrinks."""

from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean

# Of columns: a minute, if a column is ten seconds.
COMPARED = 6
# A change below a tenth, or below so many records, is none.
CHANGE_MIN = 0.1
RECORDS_MIN = 10


class Trend(StrEnum):
    """An arrow for each is in the templates."""

    GROWS = "grows"
    SHRINKS = "shrinks"
    STEADY = "steady"


def trend_of(messages: Sequence[int | None]) -> Trend | None:
    """Return how the mean of the last minute differs from that of the minute before.

    None if it is not known: there is no newest value, or none of the minute before.
    """
    recent = [value for value in messages[-COMPARED:] if value is not None]
    before = [value for value in messages[-2 * COMPARED : -COMPARED] if value is not None]
    if not before or messages[-1] is None:
        return None
    change = fmean(recent) - fmean(before)
    if abs(change) < max(RECORDS_MIN, CHANGE_MIN * fmean(before)):
        return Trend.STEADY
    return Trend.GROWS if change > 0 else Trend.SHRINKS
