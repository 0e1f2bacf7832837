"""Find a Redis that was lost or came back older than it was, and apply to it what it misses.

Redis notes for each partition of `fanout` the next offset to apply. The worker that owns
a partition knows what it noted last. Where the note is another:

- no notes at all: a new or flushed Redis. Timelines that are left are forgotten, and are
  rebuilt as they are read.
- a note behind the commit: the records between are read again and applied; they are
  merged by id, so what was there already changes nothing.
- a note behind the log's start: nobody knows what is missing; as for a flushed one.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.envelope import Record
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.producer import STORE
from streams.metrics import REPAIRED_RECORDS, REPAIRS
from streams.ports.timelines import Timelines
from streams.settings import Settings
from topics.catalogue import FANOUT

WATCH_S = 1.0
POLL_MS = 1_000
UNKNOWN = -1  # No offset: a note that was never read is never as expected.
log = logging.getLogger(__name__)

Apply = Callable[[Sequence[Record], Callable[[], bool]], Awaitable[None]]


@dataclass(slots=True)
class FanoutCheckpoints:
    """The notes of one lane's partitions that this process owns."""

    settings: Settings
    timelines: Timelines
    offsets: Offsets
    group: str
    # The groups of all lanes with their partitions: a flushed Redis is noted in for all at once.
    groups: dict[str, range]
    owned: Callable[[], set[int]]
    apply: Apply
    _noted: dict[int, int] = field(default_factory=dict)
    _locks: defaultdict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def lock(self, partition: int) -> asyncio.Lock:
        """Held while a batch of the partition is applied, or its note is checked."""
        return self._locks[partition]

    async def ensure(self, partition: int, position: int, is_assigned: Callable[[], bool]) -> None:
        """Return when everything below `position` is in Redis; the caller holds the lock."""
        if partition not in self._noted:
            await retry_until_available(
                self.settings, lambda: self._check(partition, position), is_assigned=is_assigned
            )

    async def advance(self, partition: int, position: int, is_assigned: Callable[[], bool]) -> None:
        """Note that everything below `position` is applied; the caller holds the lock."""

        async def note() -> None:
            noted = self._noted.get(partition)
            if noted is not None and noted >= position:
                return  # Redelivered; Redis knows already.
            if not await self.timelines.save_checkpoint(partition, position, expected=noted):
                await self._check(partition, position)
            self._noted[partition] = position

        await retry_until_available(self.settings, note, is_assigned=is_assigned)

    async def watch(self) -> None:
        """For ever: check the notes of all partitions that are owned, also of those with nothing to do."""
        while True:
            try:
                await self._watch_once()
            except StoreUnavailable as error:
                log.debug("notes are checked again soon: %s", error)
            except PartitionRevoked:
                pass
            await asyncio.sleep(WATCH_S)

    async def _watch_once(self) -> None:
        owned = self.owned()
        for partition in [each for each in self._noted if each not in owned]:
            del self._noted[partition]  # Another worker notes it now.
        # Also where nothing has moved: a Redis that was started again must be looked at first.
        moved = await self.timelines.confirm({each: self._noted.get(each, UNKNOWN) for each in owned})
        for partition in sorted(moved):
            if self._locks[partition].locked():
                continue  # A batch is on its way, and will find out.
            async with self._locks[partition]:
                committed = await self.offsets.committed(self.group, self._topic, [partition])
                position = max(committed.get(partition, 0), self._noted.get(partition, 0))
                await self._check(partition, position)

    async def _check(self, partition: int, position: int) -> None:
        """Make sure that Redis has everything below `position`, and says so."""
        notes = await self.timelines.checkpoints(range(FANOUT.partitions))
        if not notes:
            await self._start_over("flushed")
            notes = await self.timelines.checkpoints(range(FANOUT.partitions))
        begin = await self._begin(partition)
        noted = notes.get(partition)
        if noted is None or (noted < begin and noted < position):
            await self._start_over("log_too_short")
        elif noted < position:
            log.warning(
                "Redis came back older: applying fanout/%d from offset %d to %d again",
                partition,
                noted,
                position,
            )
            await self._apply_again(partition, noted, position)
            REPAIRS.labels("repaired").inc()
        position = max(position, noted or 0)
        if noted != position and not await self.timelines.save_checkpoint(
            partition, position, expected=noted
        ):
            raise StoreUnavailable("redis", "note", f"the note of partition {partition} moved meanwhile")
        self._noted[partition] = position
        await self.timelines.confirm({partition: position})

    async def _start_over(self, outcome: str) -> None:
        """Forget every timeline, before anything says that Redis is up to date."""
        forgotten = await self.timelines.forget_all()
        positions: dict[int, int] = dict.fromkeys(range(FANOUT.partitions), 0)
        for group, partitions in self.groups.items():
            positions |= await self.offsets.committed(group, self._topic, partitions)
        if await self.timelines.save_all_checkpoints(positions):
            log.warning("Redis is new or was flushed: %d timelines forgotten", forgotten)
        REPAIRS.labels(outcome).inc()

    async def _begin(self, partition: int) -> int:
        place = (self._topic, partition)
        return (await self.offsets.begins([place]))[place]

    async def _apply_again(self, partition: int, begin: int, end: int) -> None:
        place = TopicPartition(self._topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka, enable_auto_commit=False, auto_offset_reset="none"
        )
        try:
            await consumer.start()
            consumer.assign([place])
            consumer.seek(place, begin)
            while begin < end:
                fetched = await consumer.getmany(
                    place, timeout_ms=POLL_MS, max_records=self.settings.fanout_batch_records_max
                )
                records = [_record(each) for each in fetched.get(place, ()) if each.offset < end]
                await self.apply(records, lambda: partition in self.owned())
                REPAIRED_RECORDS.inc(len(records))
                begin = await consumer.position(place)
        except KafkaError as error:
            raise StoreUnavailable(STORE, "repair", repr(error)) from error
        finally:
            await consumer.stop()

    @property
    def _topic(self) -> str:
        return FANOUT.named(self.settings.namespace)


def _record(message: object) -> Record:
    return Record(
        topic=message.topic,  # type: ignore[attr-defined]
        partition=message.partition,  # type: ignore[attr-defined]
        offset=message.offset,  # type: ignore[attr-defined]
        timestamp_ms=message.timestamp,  # type: ignore[attr-defined]
        key=message.key,  # type: ignore[attr-defined]
        value=message.value,  # type: ignore[attr-defined]
        headers=(),
    )
