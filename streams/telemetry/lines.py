"""Log lines about several events: each has a part of them, so that no line is too long to be read."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from more_itertools import chunked

EVENTS_A_LINE_MAX = 50


def event_fields(event_ids: Sequence[str]) -> dict[str, object]:
    """Return the field that names these events, of which there may be none: `event_id`, or `event_ids`."""
    return several("event_id", event_ids)


def several(name: str, values: Sequence[object]) -> dict[str, object]:
    """Return the field `name` with the one value, or its plural with several; no field without a value."""
    if not values:
        return {}
    return {name: values[0]} if len(values) == 1 else {f"{name}s": list(values)}


def log_each(
    log: logging.Logger,
    level: int,
    message: str,
    rows: Iterable[Mapping[str, object | None]],
    fields: Mapping[str, object],
) -> None:
    """Log `message` about `rows`, `EVENTS_A_LINE_MAX` to a line, with `fields` in each line.

    Rows have singular names; a line about several rows has their plurals. A value that is None is left out.
    """
    if not log.isEnabledFor(level):
        return
    for some in chunked(rows, EVENTS_A_LINE_MAX):
        values = {name: [row[name] for row in some if row[name] is not None] for name in some[0]}
        named = {
            key: field for name, column in values.items() for key, field in several(name, column).items()
        }
        log.log(level, message, extra={**fields, **named})
