"""Rebuild timelines that Redis has lost, those of the latest readers first, without being asked.

One worker does it, and leaves room to readers: it may begin `per_s_max` rebuilds a second, a part of the
budget that all rebuilds share. A pass goes over all hours in which today's timelines were read, the latest
first. It begins when many of the latest readers have no timeline, and when this worker takes over, because
the pass of the worker before may be unfinished. What exists is left alone, so a pass may be repeated, and
two may run at once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from streams.jobs.warm_timelines import (
    PAGE_READERS,
    RETRY_S,
    WarmedTimelines,
    hours_of,
    latest_readers,
    warm_timelines,
    without_timeline,
)
from streams.metrics import TIMELINES_MISSING, WARMING_HOURS_LEFT
from streams.polling import poll
from streams.ports.timelines import ActiveReaders, Timelines
from streams.timelines.rebuild import Rebuilder

LOOK_S = 30.0
# The readers of these hours tell whether timelines were lost. In an idle stack a look is 32 empty reads.
LOOK_HOURS = 2
# A share of the latest readers. Readers whose rebuild is waiting or failed have none, too.
MISSING_SHARE_MAX = 0.05
# A page of 200 readers who have a timeline is looked up in 0.2 ms of Redis, so a pass takes little of it.
PAGE_S = 0.1
log = logging.getLogger(__name__)


@dataclass(slots=True)
class LostTimelines:
    """`owns` says whether this worker does it. `warmed` is counted by the `rebuilder`, too.

    `clock_s` is since 1970.
    """

    timelines: Timelines
    active_readers: ActiveReaders
    rebuilder: Rebuilder
    warmed: WarmedTimelines
    owns: Callable[[], bool]
    timeline_ttl_s: int
    per_s_max: int
    clock_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    retry_s: float = RETRY_S
    _is_due: bool = field(default=True, init=False)
    _looked_s: float = field(default=0.0, init=False)
    _are_latest_there: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Look every `LOOK_S` seconds; runs until cancelled."""
        try:
            await poll(self.look, LOOK_S, log=log, failure="timelines were not warmed")
        finally:
            await self.rebuilder.close()

    async def look(self) -> None:
        """Begin a pass if one is due; returns when it has ended.

        Raises:
            StoreUnavailable: The pass is still due.
        """
        if not self.owns():
            self._is_due = True
            return
        # Until all partitions are verified, the workers may remove what would be rebuilt.
        if not await self.timelines.verified():
            return
        self._is_due = self._is_due or await self._are_lost()
        if self._is_due:
            self._is_due = not await self._pass()

    async def _are_lost(self) -> bool:
        hours = hours_of(self.clock_s(), self.timeline_ttl_s)[:LOOK_HOURS]
        latest = await latest_readers(self.active_readers, hours, PAGE_READERS)
        missing = len(await without_timeline(self.timelines, latest))
        TIMELINES_MISSING.set(missing / len(latest) if latest else 0)
        self._looked_s = self.clock_s()
        return missing > MISSING_SHARE_MAX * len(latest)

    async def _pass(self) -> bool:
        """Warm the readers of all hours; returns False if it ended early, so that another one is due."""
        rebuilt, began_s = self.warmed.rebuilt, self.clock_s()
        hours = hours_of(began_s, self.timeline_ttl_s)
        self._are_latest_there = False
        try:
            for warmed, hour in enumerate(hours):
                WARMING_HOURS_LEFT.set(len(hours) - warmed)
                if not await self._hour(hour):
                    return False
        finally:
            WARMING_HOURS_LEFT.set(0)
            if self.warmed.rebuilt > rebuilt:
                took_s = self.clock_s() - began_s
                log.warning(
                    "timelines were missing: %d rebuilt in %.0f s", self.warmed.rebuilt - rebuilt, took_s
                )
        return True

    async def _hour(self, hour: int) -> bool:
        count, after = min(PAGE_READERS, self.per_s_max), None
        while self.owns() and not await self._are_lost_again():
            began_s, rebuilt = self.clock_s(), self.warmed.rebuilt
            page = await self.active_readers.page(hour, after, count)
            await warm_timelines(
                self.timelines,
                self.rebuilder,
                page,
                self.warmed,
                progressed=lambda _: None,
                retry_s=self.retry_s,
            )
            least_s = max(PAGE_S, (self.warmed.rebuilt - rebuilt) / self.per_s_max)
            await self.sleep(max(0.0, began_s + least_s - self.clock_s()))
            if len(page) < count:
                return True
            after = page[-1]
        return False

    async def _are_lost_again(self) -> bool:
        """Return whether the latest readers, who had their timelines in this pass, have none now."""
        if self.clock_s() - self._looked_s < LOOK_S:
            return False
        are_lost = await self._are_lost()
        were_there, self._are_latest_there = self._are_latest_there, not are_lost
        return were_there and are_lost
