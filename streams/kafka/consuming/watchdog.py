"""End this process when a consumer has stopped silently, so that whoever runs it starts it again."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import Progress
from streams.kafka.offsets.offsets import Offsets

LOOK_S = 5.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watchdog:
    """Compares positions with the broker's own log ends every few seconds."""

    progress: Progress
    offsets: Offsets
    still_s_max: float
    fatal: Callable[[BaseException], None]

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            places = self.progress.owned()
            try:
                await self._begin()
                ends = await self.offsets.ends({(place.topic, place.partition) for place in places})
            except StoreUnavailable as error:
                log.debug("the broker did not say where logs end: %s", error)
                continue
            by_place = {place: ends.get((place.topic, place.partition), 0) for place in places}
            stuck = self.progress.stuck(by_place, self.still_s_max)
            if stuck:
                names = ", ".join(f"{each.group} {each.topic}/{each.partition}" for each in stuck)
                self.fatal(
                    RuntimeError(f"no progress for {self.still_s_max:.0f} s although records wait: {names}")
                )

    async def _begin(self) -> None:
        """Partitions in which nothing came yet are where their group had committed to."""
        for place in self.progress.unknown():
            committed = await self.offsets.committed(place.group, place.topic, [place.partition])
            self.progress.begin(place, committed.get(place.partition, 0))
