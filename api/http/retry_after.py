"""When those who are sent away shall come again: spread, about as fast as they can be served.

A crowd that is told "in a second" is back in a second, and nearly all of it is sent away once
more: to say so to thousands costs the time that their answers need.
"""

from collections.abc import Callable
from math import ceil, exp
from time import monotonic

# The rate is that of about the last seconds.
MEMORY_S = 5.0
# Places are this many times as close as those before were served: clients add some of their own to what they
# are told, and it is better to send some away once more than to wait for those who come late.
CLOSER = 2.0


class RetryQueue:
    """A queue of which only the end is kept, as a time; each who is sent away gets the next place.

    Served are as many a second as lately, but at least `rate_min`. No place is further away than
    `s_max`, so a crowd beyond that comes with the last.
    """

    def __init__(self, *, rate_min: float, s_max: int, clock_s: Callable[[], float] = monotonic) -> None:
        self._rate_min = rate_min
        self._s_max = s_max
        self._clock_s = clock_s
        self._rate = 0.0
        self._rated_s = clock_s()
        self._end_s = 0.0

    def served(self) -> None:
        """One has had what others are sent away for."""
        self._rate = self._rate_now() + 1 / MEMORY_S

    def next_retry_s(self) -> int:
        """Give one more a place: it may come in so many seconds, 1 to `s_max`."""
        now_s = self._clock_s()
        place_s = max(self._end_s, now_s) + 1 / (CLOSER * max(self._rate_min, self._rate_now()))
        self._end_s = min(place_s, now_s + self._s_max)
        return max(1, ceil(self._end_s - now_s))

    def _rate_now(self) -> float:
        """How many a second: each counts for less with time, all together for what they were."""
        now_s = self._clock_s()
        self._rate *= exp((self._rated_s - now_s) / MEMORY_S)
        self._rated_s = now_s
        return self._rate
