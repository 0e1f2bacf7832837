"""End this process when one of its consumers has stopped silently, so that it is started again."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import Progress
from streams.kafka.offsets.queued import BrokerOffsets

LOOK_S = 5.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watchdog:
    """Compares the positions of this process with the broker's log ends every `look_s` seconds.

    The ends come from the broker, because a consumer that has stopped does not know that it lags.
    """

    progress: Progress
    offsets: BrokerOffsets
    still_s_max: float
    fatal: Callable[[BaseException], None]
    look_s: float = LOOK_S

    async def run(self) -> None:
        """Call `look` every `look_s` seconds; runs until cancelled."""
        while True:
            await asyncio.sleep(self.look_s)
            try:
                await self.look()
            except StoreUnavailable as error:
                log.debug("the broker did not say where logs end: %s", error)

    async def look(self) -> None:
        """Call `fatal` if a partition with unread records did not move for `still_s_max` seconds.

        Raises:
            StoreUnavailable: The broker did not answer, so nothing is known about the consumers.
        """
        await self._begin()
        owned = self.progress.owned()
        ends = await self.offsets.ends({(partition.topic, partition.partition) for partition in owned})
        ends_of_owned = {
            partition: ends.get((partition.topic, partition.partition), 0) for partition in owned
        }
        stuck = self.progress.stuck(ends_of_owned, self.still_s_max)
        if stuck:
            names = ", ".join(f"{stopped.group} {stopped.topic}/{stopped.partition}" for stopped in stuck)
            self.fatal(
                RuntimeError(f"no progress for {self.still_s_max:.0f} s although records wait: {names}")
            )

    async def _begin(self) -> None:
        """Set each unknown position to the committed offset of the group, or to 0 without one."""
        for partition in self.progress.unknown():
            committed = await self.offsets.committed(partition.group, partition.topic, [partition.partition])
            self.progress.begin(partition, committed.get(partition.partition, 0))
