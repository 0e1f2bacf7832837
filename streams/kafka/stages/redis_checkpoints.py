"""Detect that Redis lost data or went back to an older state, and apply the missing records again.

For each partition of `fanout` Redis stores a checkpoint, the next offset to apply. The worker that
owns a partition remembers the checkpoint that it stored last. If Redis has a different one:

- If Redis has no checkpoint at all, it is new or was flushed. All timelines that are left are
  removed. Each is rebuilt when its owner reads it. In a cluster this is judged for each group of timelines.
- If the checkpoint is behind the committed offset, the records in between are read and applied
  again. They are merged by id, so a record that was applied already changes nothing.
- If the checkpoint is behind the start of the log, some of the missing records cannot be read any
  more. This is handled like a flush.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from schemas.envelope import Record
from streams.core.checkpoints import groups_by_checkpoint
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.offsets.queued import BrokerOffsets
from streams.kafka.stages.fanout_log import RecordLog
from streams.metrics import REPAIRED_RECORDS, REPAIRS
from streams.ports.timelines import Timelines
from streams.settings import RetrySettings

WATCH_S = 1.0
# Until a partition that was just assigned is verified, feed pages are `partial`. This look asks nobody.
NEW_S = 0.1
UNKNOWN = -1  # Differs from every stored checkpoint, so a partition without a known one is checked.
log = logging.getLogger(__name__)

Apply = Callable[[Sequence[Record], Callable[[], bool]], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class LaneCheckpoints(ABC):
    """The checkpoints of one lane's partitions that this process owns.

    `topic` is the name of `fanout` on the broker. `groups` has the partitions of each lane's
    consumer group, because after a flush the checkpoints of all lanes are stored at once.
    """

    retry: RetrySettings
    timelines: Timelines
    offsets: BrokerOffsets
    records: RecordLog
    topic: str
    group: str
    groups: dict[str, range]
    owned: Callable[[], set[int]]
    watch_s: float = WATCH_S
    # The checkpoints as this process stored or read them last.
    _positions: dict[int, int] = field(default_factory=dict, init=False)
    _locks: defaultdict[int, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    def lock(self, partition: int) -> asyncio.Lock:
        """Return the lock to hold while a batch is applied or the partition is checked."""
        return self._locks[partition]

    def is_verified(self) -> bool:
        """Return whether Redis is known to be complete for all partitions of this process."""
        return self.owned() <= self._positions.keys()

    @abstractmethod
    async def handle(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        """Apply a batch of one partition, then store its checkpoint; it may be committed afterwards.

        Raises:
            PartitionRevoked: The partition was taken away; the batch must not be committed.
        """

    @abstractmethod
    async def watch_once(self) -> None:
        """Compare each owned partition's checkpoint with Redis.

        Raises:
            StoreUnavailable: Some partitions may be unchecked; call this again.
            PartitionRevoked: A partition was taken away while it was repaired.
        """

    async def watch(self) -> None:
        """Check all owned partitions again and again, new ones at once; runs until cancelled."""
        while True:
            looked_at = self.owned()
            try:
                await self.watch_once()
            except StoreUnavailable as error:
                log.debug("the checkpoints could not be checked, and are checked again soon: %s", error)
            except PartitionRevoked:
                pass
            await self._next_look(looked_at)

    async def _next_look(self, looked_at: Collection[int]) -> None:
        """Return after `watch_s`, or as soon as this process has a partition that was not looked at."""
        next_s = monotonic() + self.watch_s
        while True:
            await asyncio.sleep(min(NEW_S, self.watch_s))
            if monotonic() >= next_s or not self.owned() <= set(looked_at):
                return

    async def _start_over(self, groups: Collection[int], outcome: str) -> None:
        """Remove every timeline of the groups, then store all checkpoints of those that have none.

        In this order, so that no checkpoint claims that an incomplete timeline is up to date.
        """
        removed = await self.timelines.forget_all(groups)
        positions: dict[int, int] = dict.fromkeys(self._partitions(), 0)
        for group, partitions in self.groups.items():
            positions |= await self.offsets.committed(group, self.topic, partitions)
        if await self.timelines.save_all_checkpoints(positions, groups):
            log.warning(
                "Redis is new or was flushed: %d timelines removed", removed, extra={"store": "redis"}
            )
        REPAIRS.labels(outcome).inc()

    def _partitions(self) -> list[int]:
        """Return the partitions of all lanes."""
        return [partition for partitions in self.groups.values() for partition in partitions]

    async def _begin(self, partition: int) -> int:
        """Return the first offset that the partition's log still holds."""
        log_partition = (self.topic, partition)
        return (await self.offsets.begins([log_partition]))[log_partition]


@dataclass(slots=True, kw_only=True)
class RedisCheckpoints(LaneCheckpoints):
    """Waits for all of Redis: a batch is applied in all groups before its checkpoint is stored."""

    apply: Apply

    async def handle(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        partition = records[0].partition
        async with self.lock(partition):
            await self.ensure(partition, records[0].offset, is_assigned)
            await self.apply(records, is_assigned)
            await self.advance(partition, records[-1].offset + 1, is_assigned)

    async def ensure(self, partition: int, position: int, is_assigned: Callable[[], bool]) -> None:
        """Return when Redis has every record below `position`; the caller holds the lock.

        Raises:
            PartitionRevoked: The partition was taken away while a store was unavailable.
        """
        if partition not in self._positions:
            await retry_until_available(
                self.retry, lambda: self._check(partition, position), is_assigned=is_assigned
            )

    async def advance(self, partition: int, position: int, is_assigned: Callable[[], bool]) -> None:
        """Store the checkpoint `position`: all records below are applied; the caller has the lock.

        Raises:
            PartitionRevoked: The partition was taken away while a store was unavailable.
        """

        was_tried = False

        async def store() -> None:
            nonlocal was_tried
            known = self._positions.get(partition)
            if known is not None and known >= position:
                return  # The batch was delivered again; Redis has this checkpoint or a later one.
            # A save that failed is not repeated: the server may have been replaced meanwhile, by one that has
            # the checkpoint from before the batch, and not the batch. Then the batch is applied again.
            is_new, was_tried = not was_tried, True
            if not (is_new and await self.timelines.save_checkpoint(partition, position, expected=known)):
                await self._check(partition, position)
            self._positions[partition] = position

        await retry_until_available(self.retry, store, is_assigned=is_assigned)

    async def watch_once(self) -> None:
        """Compare each owned partition's checkpoint with Redis, and repair Redis where they differ.

        Raises:
            StoreUnavailable: Some partitions may be unchecked; call this again.
            PartitionRevoked: A partition was taken away while it was repaired.
        """
        owned = self.owned()
        for partition in self._positions.keys() - owned:
            del self._positions[partition]  # Another worker owns this partition now.
        # A partition whose checkpoint this process does not know counts as moved, so that Redis is
        # checked before anything is written to it.
        moved = await self.timelines.confirm(
            {partition: self._positions.get(partition, UNKNOWN) for partition in owned}
        )
        for partition in sorted(moved):
            if self._locks[partition].locked():
                continue  # A batch is being applied; then `advance` compares the checkpoint.
            async with self._locks[partition]:
                committed = await self.offsets.committed(self.group, self.topic, [partition])
                position = max(committed.get(partition, 0), self._positions.get(partition, 0))
                await self._check(partition, position)

    async def _check(self, partition: int, position: int) -> None:
        """Make Redis complete below `position`, then store a checkpoint of at least `position`."""
        by_group = await self.timelines.checkpoints_by_group(self._partitions())
        if new := [group for group, checkpoints in enumerate(by_group) if not checkpoints]:
            await self._start_over(new, "flushed")
            by_group = await self.timelines.checkpoints_by_group(self._partitions())
        stored = groups_by_checkpoint(by_group, partition)
        checkpoints = [checkpoint for checkpoint, _ in stored if checkpoint is not None]
        # A worker may have died after it stored the checkpoint of some groups, and before the commit.
        position = max(position, *checkpoints, 0)
        begin = await self._begin(partition)
        readable = [checkpoint for checkpoint in checkpoints if checkpoint >= min(begin, position)]
        lost = [group for checkpoint, groups in stored if checkpoint not in readable for group in groups]
        if lost:
            await self._start_over(lost, "log_too_short")
        if readable and min(readable) < position:
            await self._repair(partition, min(readable), position)
        for checkpoint, groups in stored:
            if checkpoint != position and not await self.timelines.save_checkpoint(
                partition, position, expected=checkpoint, groups=groups
            ):
                raise StoreUnavailable(
                    "redis", "checkpoint", f"the checkpoint of partition {partition} moved meanwhile"
                )
        self._positions[partition] = position
        await self.timelines.confirm({partition: position})

    async def _repair(self, partition: int, begin: int, position: int) -> None:
        log.warning(
            "Redis, or a part of it, came back older: applying fanout/%d from offset %d to %d again",
            partition,
            begin,
            position,
            extra={
                "group": self.group,
                "topic": self.topic,
                "partition": partition,
                "offset": begin,
                "store": "redis",
            },
        )
        await self._apply_again(partition, begin, position)
        REPAIRS.labels("repaired").inc()

    async def _apply_again(self, partition: int, begin: int, end: int) -> None:
        async with aclosing(self.records.read(partition, begin, end)) as batches:
            async for batch in batches:
                await self.apply(batch, lambda: partition in self.owned())
                REPAIRED_RECORDS.inc(len(batch))
