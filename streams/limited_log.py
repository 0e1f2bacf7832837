"""A log line for what anybody can cause: at most one line per interval, with the number of the others."""

import logging
from collections.abc import Callable
from time import monotonic

INTERVAL_S = 10.0


class LimitedLog:
    """Writes the first event of each kind at once, and then one line per interval and kind.

    The kinds must be few, because they stay in memory. A metric should count the events, since the last
    ones before a quiet time appear in no line.
    """

    def __init__(
        self, log: logging.Logger, *, interval_s: float = INTERVAL_S, clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._log = log
        self._interval_s = interval_s
        self._clock_s = clock_s
        self._next_s: dict[str, float] = {}
        self._unwritten: dict[str, int] = {}

    def warning(self, kind: str, text: str) -> None:
        """Log the event, or only count it if its kind was logged a short time ago."""
        now_s = self._clock_s()
        if now_s < self._next_s.get(kind, now_s):
            self._unwritten[kind] = self._unwritten.get(kind, 0) + 1
            return
        self._next_s[kind] = now_s + self._interval_s
        others = self._unwritten.pop(kind, 0)
        if others:
            self._log.warning("%s (%d more of this kind since the previous line)", text, others)
        else:
            self._log.warning("%s", text)
