"""Tell each rejected client when to retry, so that clients return about as fast as they are served.

If thousands of clients are told to retry after a second, all of them return after a second, and
nearly all are rejected again. Those rejections use the time that is needed to serve clients.
"""

from collections.abc import Callable
from math import ceil, exp
from time import monotonic

# The rate of served clients is measured over about this time.
WINDOW_S = 5.0
# Retries are scheduled at this multiple of that rate. Clients add a delay of their own, and it is
# better to reject a few clients again than to be idle until the late ones arrive.
OVERBOOKING = 2.0


class RetryQueue:
    """Gives each rejected client the next slot of a queue; only the time of the last slot is stored.

    The queue moves at the recent rate of served clients, but at least at `rate_min` a second. No slot is
    more than `s_max` seconds away: if the queue is longer, the other clients share the last slots.
    """

    def __init__(self, *, rate_min: float, s_max: int, clock_s: Callable[[], float] = monotonic) -> None:
        self._rate_min = rate_min
        self._s_max = s_max
        self._clock_s = clock_s
        self._rate = 0.0
        self._rated_s = clock_s()
        self._last_slot_s = 0.0

    def served(self) -> None:
        """Count one client that was served."""
        self._rate = self._decayed_rate() + 1 / WINDOW_S

    def next_retry_s(self) -> int:
        """Assign the next slot. Returns the seconds until then, 1 to `s_max`."""
        now_s = self._clock_s()
        rate = OVERBOOKING * max(self._rate_min, self._decayed_rate())
        slot_s = max(self._last_slot_s, now_s) + 1 / rate
        self._last_slot_s = min(slot_s, now_s + self._s_max)
        return max(1, ceil(self._last_slot_s - now_s))

    def _decayed_rate(self) -> float:
        """Return the clients served a second: an exponentially decaying average."""
        now_s = self._clock_s()
        self._rate *= exp((self._rated_s - now_s) / WINDOW_S)
        self._rated_s = now_s
        return self._rate
