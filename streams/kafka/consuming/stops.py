"""Partitions that reached the dead-letter limit and wait until an operator resumes their group."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.clock import unix_ms
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.metrics import STOPPED
from streams.ports.coordination import Stop, StoppedPartitions
from streams.settings import RetrySettings

POLL_S = 1.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stops:
    """The stops of one group's partitions. They are stored, so a restart does not resume them."""

    retry: RetrySettings
    store: StoppedPartitions
    progress: Progress
    clock_ms: Callable[[], int] = unix_ms
    poll_s: float = POLL_S
    # The generation of the assignment in which each partition was last found without a stop.
    _checked: dict[GroupPartition, int] = field(default_factory=dict, init=False)

    async def wait(self, partition: GroupPartition, generation: int, is_assigned: Callable[[], bool]) -> bool:
        """Return at once if the partition has no stored stop, otherwise when the group is resumed.

        Returns whether there was a stop. The store is asked once for each generation of the assignment, and
        after each call of `stop`.

        Raises:
            PartitionRevoked: The partition went to another worker meanwhile.
        """
        if self._checked.get(partition) == generation:
            return False
        is_stopped = await self._is_stopped(partition, is_assigned)
        if is_stopped:
            await self._wait_until_resumed(partition, is_assigned)
        self._checked[partition] = generation
        return is_stopped

    async def stop(
        self, partition: GroupPartition, position: int, reason: str, is_assigned: Callable[[], bool]
    ) -> None:
        """Store a stop at the offset `position`; the next call of `wait` waits until the group is resumed.

        Raises:
            PartitionRevoked: The partition went to another worker while the store was unavailable.
        """
        stop = Stop(
            group=partition.group,
            topic=partition.topic,
            partition=partition.partition,
            position=position,
            reason=reason,
            since_ms=self.clock_ms(),
        )
        self._checked.pop(partition, None)
        await retry_until_available(self.retry, lambda: self.store.stop(stop), is_assigned=is_assigned)
        log.error(
            "%s stopped %s/%d at offset %d: %s. "
            "Read the dead letters in %s-dlq, fix the cause, then run: shutterline resume %s",
            partition.group,
            partition.topic,
            partition.partition,
            position,
            reason,
            partition.topic,
            partition.group,
            extra={**partition.log_fields(), "offset": position, "reason": reason},
        )

    async def _wait_until_resumed(self, partition: GroupPartition, is_assigned: Callable[[], bool]) -> None:
        STOPPED.labels(partition.group).inc()
        try:
            with self.progress.excused(partition):
                while await self._is_stopped(partition, is_assigned):
                    await asyncio.sleep(self.poll_s)
                    if not is_assigned():
                        raise PartitionRevoked
        finally:
            STOPPED.labels(partition.group).dec()
        log.warning(
            "%s resumed %s/%d",
            partition.group,
            partition.topic,
            partition.partition,
            extra=partition.log_fields(),
        )

    async def _is_stopped(self, partition: GroupPartition, is_assigned: Callable[[], bool]) -> bool:
        stops = await retry_until_available(
            self.retry, lambda: self.store.stops(partition.group), is_assigned=is_assigned
        )
        return (partition.topic, partition.partition) in {(stop.topic, stop.partition) for stop in stops}
