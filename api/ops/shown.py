"""How values are shown on the pages. Unknown is a dash, and never 0."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from api.ops.tables import Column, Kind
from schemas.printable import printable

UNKNOWN = "–"  # noqa: RUF001  # A dash.
_STATE = Markup('<span class="state {}">{}</span>')
_TIME = Markup('<time datetime="{}">{}</time>')


def cell(column: Column, value: Any) -> str | Markup:
    """Return a value of a table for the page."""
    return UNKNOWN if value is None or value == "" else SHOWN[column.kind](value)


def figure(value: float | None) -> str:
    """Return a number for people; below 1,000 with a decimal if it has one."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int) or abs(value) >= 1_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 0.1 else f"{value:,.2g}"


def seconds(value: float | None) -> str:
    """Return a time span with its unit, such as `45 s`, `3 min` or `2 h 5 min`."""
    if value is None:
        return UNKNOWN
    if value < 10:
        return f"{value:.1f} s" if value % 1 else f"{value:.0f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = round(value / 3_600)
    return f"{hours} h" if hours < 48 else f"{round(value / 86_400)} d"


def ago(value: float) -> str:
    """Return for how long something has been so, in steps, so that it changes rarely."""
    if value < 60:
        return f"{int(value) // 10 * 10 or 1} s" if value >= 10 else "a few s"
    return seconds(int(value) // 60 * 60)


def share(value: float) -> str:
    """Return a part of 1 in percent; 100 % only if it is all."""
    percent = value * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{min(99.9, max(0.1, percent)):.1f} %"


def short_time(time: str) -> str:
    """Return the date and time of an RFC 3339 time in UTC, to the second."""
    return f"{time[:10]} {time[11:19]} UTC"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


SHOWN: Mapping[Kind, Callable[[Any], str | Markup]] = {
    Kind.TEXT: _text,
    Kind.STATE: lambda state: _STATE.format(state.lower(), state),
    Kind.NUMBER: figure,
    Kind.SECONDS: seconds,
    Kind.SHARE: share,
    Kind.TIME: lambda time: _TIME.format(time, short_time(time).removesuffix(" UTC")),
}
