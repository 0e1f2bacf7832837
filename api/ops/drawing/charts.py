"""Small pictures of the last minutes, in SVG: attributes and classes only, as the page's policy wants it."""

from bisect import bisect
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

WIDTH, HEIGHT = 120, 24
# The lowest number of records of each level of the heat map: the same for all lanes, so that they compare.
LEVELS = (1, 10, 100, 1_000, 10_000)
_LINE = Markup('<polyline points="{}"/>')
_DOT = Markup('<circle cx="{}" cy="{}" r="2"/>')
# Of plain text: a level and numbers need no escaping, which would take most of the time of the page.
_CELL = '<rect class="{}" x="{}" width="{}" height="1"/>'


def sparkline(messages: Sequence[int | None], minutes: float, now: float | None) -> Markup:
    """Return the line of what waited, from 0 to its own most; a gap is where nothing was known.

    `now` is what waits now, None if that is not known.
    """
    known = [value for value in messages if value is not None]
    most = max(known, default=0)
    if not messages or not known:
        return Markup('<span class="quiet">no data</span>')
    step = WIDTH / max(1, len(messages) - 1)
    # One unit is left at the top and the bottom for the width of the line.
    points = [
        None
        if value is None
        else (round(at * step, 1), round(HEIGHT - 1 - (HEIGHT - 2) * value / (most or 1), 1))
        for at, value in enumerate(messages)
    ]
    parts = [
        _LINE.format(" ".join(f"{x},{y}" for x, y in filter(None, run)))
        for is_known, run in (
            (key, list(run)) for key, run in groupby(points, lambda point: point is not None)
        )
        if is_known
    ]
    last = points[-1]
    dot = Markup("") if last is None else _DOT.format(*last)
    at_last = f"not known now, {known[-1]:,} at last" if now is None else f"{now:,.0f} now"
    return Markup(
        '<svg class="spark" viewBox="-2 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}{}'
        "</svg>"
    ).format(
        WIDTH + 4,
        HEIGHT,
        f"At most {most:,} waited in {minutes:g} minutes, {at_last}",
        Markup("").join(parts),
        dot,
    )


def heat_strip(messages: Sequence[int | None], label: str) -> Markup:
    """Return one row of the heat map, a cell for each column; equal neighbours are one rectangle."""
    cells, x = [], 0
    for level, run in groupby(map(level_of, messages)):
        width = len(list(run))
        cells.append(_CELL.format(level, x, width))
        x += width
    return Markup(
        '<svg class="heat-row" viewBox="0 0 {} 1" preserveAspectRatio="none" role="img" aria-label="{}">{}'
        "</svg>"
    ).format(max(1, x), label, Markup("".join(cells)))


def level_of(messages: int | None) -> str:
    """Return the class of a cell: `h0` where nothing waited to `h5`, and `hx` where nothing is known."""
    return "hx" if messages is None else f"h{bisect(LEVELS, messages)}"
