"""Log lines for what anybody can cause, or every operation in an outage: one per interval and kind."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from types import MappingProxyType

INTERVAL_S = 10.0


class LineLimit:
    """Allows the first event of each kind at once, and then one per interval and kind.

    The kinds must be few, because they stay in memory.
    """

    def __init__(self, *, interval_s: float = INTERVAL_S, clock_s: Callable[[], float] = monotonic) -> None:
        self._interval_s = interval_s
        self._clock_s = clock_s
        self._next_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, kind: str) -> str | None:
        """Return None if the event may not be written, otherwise the end of its line: how many were not."""
        now_s = self._clock_s()
        if now_s < self._next_s.get(kind, now_s):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._next_s[kind] = now_s + self._interval_s
        others = self._left_out.pop(kind, 0)
        return f" ({others} more of this kind since the previous line)" if others else ""


class LimitedLog:
    """Writes warnings within a `LineLimit`.

    A metric should count the events, since the last ones before a quiet time appear in no line.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        interval_s: float = INTERVAL_S,
        clock_s: Callable[[], float] = monotonic,
        fields: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """`fields` are in each line."""
        self._log = log
        self._fields = fields
        self._limit = LineLimit(interval_s=interval_s, clock_s=clock_s)

    def warning(self, kind: str, template: str, *args: object) -> None:
        """Log the event, or only count it if its kind was logged a short time ago."""
        suffix = self._limit.admit(kind)
        if suffix is not None:
            self._log.warning(template + "%s", *args, suffix, extra=self._fields)
