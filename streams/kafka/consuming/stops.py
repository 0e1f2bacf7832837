"""Partitions that stand still at the dead-letter limit until an operator resumes their group."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time

from streams.kafka.consuming.progress import Place, Progress
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.metrics import STOPPED
from streams.ports.coordination import Stop, StopStore
from streams.settings import Settings

POLL_S = 1.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stops:
    """The stops of one group's partitions. What is stored outlives this process."""

    settings: Settings
    store: StopStore
    progress: Progress
    _checked: dict[Place, int] = field(default_factory=dict)

    async def wait(self, place: Place, generation: int, is_assigned: Callable[[], bool]) -> None:
        """Return when the partition may be handled; at once unless a stop is stored.

        Raises:
            NoLongerOurs: The partition went to another worker meanwhile.
        """
        if self._checked.get(place) == generation:
            return
        if await self._stored(place, is_assigned) is not None:
            await self._until_resumed(place, is_assigned)
        self._checked[place] = generation

    async def stop(self, place: Place, position: int, reason: str, is_assigned: Callable[[], bool]) -> None:
        """Store a stop at `position`, then wait until the group is resumed.

        Raises:
            NoLongerOurs: The partition went to another worker meanwhile, which will find the stop.
        """
        stop = Stop(
            group=place.group,
            topic=place.topic,
            partition=place.partition,
            position=position,
            reason=reason,
            since_ms=int(time() * 1_000),
        )
        await retry_until_available(self.settings, lambda: self.store.stop(stop), is_assigned=is_assigned)
        log.error(
            "%s stopped %s/%d at offset %d: %s. See %s-dlq, mend the cause, then: shutterline resume %s",
            place.group,
            place.topic,
            place.partition,
            position,
            reason,
            place.topic,
            place.group,
        )
        await self._until_resumed(place, is_assigned)

    async def _until_resumed(self, place: Place, is_assigned: Callable[[], bool]) -> None:
        STOPPED.labels(place.group).inc()
        try:
            with self.progress.excused(place):
                while await self._stored(place, is_assigned) is not None:
                    await asyncio.sleep(POLL_S)
                    if not is_assigned():
                        raise PartitionRevoked
        finally:
            STOPPED.labels(place.group).dec()
        log.warning("%s goes on with %s/%d", place.group, place.topic, place.partition)

    async def _stored(self, place: Place, is_assigned: Callable[[], bool]) -> Stop | None:
        stops = await retry_until_available(
            self.settings, lambda: self.store.stops(place.group), is_assigned=is_assigned
        )
        for stop in stops:
            if (stop.topic, stop.partition) == (place.topic, place.partition):
                return stop
        return None
