"""Up to when the photos of followees are in their followers' timelines, as this process knows it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from streams.polling import poll

log = logging.getLogger(__name__)

POLL_S = 5.0
# By how much a follow may seem older than its event: the clocks of the process that cached it and of this one
# may each differ by 5 s (`clock_write_difference_ms_max`), and its request may have taken as long as it may.
EARLIER_MS_MAX = 15_000


class LogsApplied(Protocol):
    """Whether all that was in the logs when it was made has been applied; `applied.Walk` implements it."""

    async def is_done(self) -> bool: ...


@dataclass(slots=True)
class FollowPoller:
    """Looks every `POLL_S` seconds how far follows have come: to the check stage, from there to the edges and
    their counts, and from there, as backfills, to the timelines.

    `walk` begins to look at the logs, and may raise StoreUnavailable. No request asks anything for it.
    `clock_is_right` says whether `clock_ms` agrees with the stores' clocks: follows are compared with it.
    """

    walk: Callable[[], LogsApplied]
    clock_ms: Callable[[], int]
    clock_is_right: Callable[[], bool]
    _applied_ms: int | None = field(default=None, init=False)
    _walk: LogsApplied | None = field(default=None, init=False)
    _began_ms: int = field(default=0, init=False)

    def backfilled_ms(self) -> int | None:
        """Return a time before which every follow has been backfilled, or None if nobody knows."""
        applied_ms = self._applied_ms
        # The clock was ahead when the walk began, if that is not over yet.
        if applied_ms is None or applied_ms > self.clock_ms() or not self.clock_is_right():
            return None
        return applied_ms - EARLIER_MS_MAX

    async def refresh(self) -> None:
        """Look once; what is behind is looked at again by the next call.

        Raises:
            StoreUnavailable: The brokers, or servers of timelines, did not respond.
        """
        if self._walk is None:
            self._began_ms, self._walk = self.clock_ms(), self.walk()
        if await self._walk.is_done():
            self._applied_ms, self._walk = self._began_ms, None

    async def run(self) -> None:
        """Refresh every `POLL_S` seconds; runs until cancelled."""
        await poll(self.refresh, POLL_S, log=log, failure="how far follows are applied is not known")
