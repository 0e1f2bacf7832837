"""One lane of `fanout`: apply its records to the timelines, and note in Redis how far.

The note is written after the timelines and before the commit: a Redis that came back
older than the commit is found by its note, see `notes.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic, time
from typing import TypeVar

from schemas.envelope import Record
from schemas.ids import ID_BYTES, PackedIds, PhotoId
from schemas.internal import Backfill, FanoutPage, OwnPost, decode_fanout
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.stages.checkpoints import FanoutCheckpoints
from streams.metrics import DELIVERIES, FRESHNESS
from streams.ports.groups import Stores
from streams.settings import Settings
from streams.timelines.fanout import backfill, owners_by_photo, put_photo
from topics.catalogue import Lane

T = TypeVar("T")


@dataclass(slots=True)
class FanoutLane:
    """Handles the batches of one lane, with at most `calls` calls of the stores under way at any time.

    The bulk lane gives way to the normal one, and to what else of this process somebody waits for.
    """

    settings: Settings
    stores: Stores
    group: str
    lane: Lane
    notes: FanoutCheckpoints
    progress: Progress
    calls: asyncio.Semaphore
    way: BackgroundThrottle

    async def __call__(self, delivered: Delivered) -> None:
        records = delivered.records
        partition, end = records[0].partition, records[-1].offset + 1
        place = GroupPartition(self.group, records[0].topic, partition)
        way = self.way.urgent() if self.lane is Lane.NORMAL else nullcontext()
        try:
            with self.progress.excused(place), way:
                async with self.notes.lock(partition):
                    await self.notes.ensure(partition, records[0].offset, delivered.is_assigned)
                    await self.apply(records, delivered.is_assigned)
                    await self.notes.advance(partition, end, delivered.is_assigned)
        except PartitionRevoked:
            return
        delivered.ack(len(records))
        self.progress.handled(place, end)

    async def apply(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        """Apply records of one partition, waiting for the stores; also used by the repair."""
        decoded = [decode_fanout(record.value) for record in records if record.value is not None]
        posts = [each for each in decoded if not isinstance(each, Backfill)]
        await asyncio.gather(
            self._put_all(posts, is_assigned),
            *(self._backfill(each, is_assigned) for each in decoded if isinstance(each, Backfill)),
        )

    async def _put_all(self, posts: Sequence[FanoutPage | OwnPost], is_assigned: Callable[[], bool]) -> None:
        owners = await self._answered(lambda: owners_by_photo(self.stores, posts), is_assigned)
        ready_ms = defaultdict(list)
        for post in posts:
            ready_ms[post.photo_id].append(post.ready_ms)

        async def put_part(photo: PhotoId, part: PackedIds) -> None:
            since_ms = int(time() * 1_000) - self.settings.fresh_s_max * 1_000
            written = await self._answered(
                lambda: put_photo(self.stores, photo, part, fresh_since_ms=since_ms), is_assigned
            )
            DELIVERIES.labels(self.lane.value).inc(written)

        async def put(photo: PhotoId) -> None:
            # A call each, so that only what was not answered is repeated, and bulk rests in between.
            some, length = owners[photo], self.settings.append_owners_max * ID_BYTES
            parts = [PackedIds(some[at : at + length]) for at in range(0, len(some), length)]
            await asyncio.gather(*(put_part(photo, part) for part in parts))
            for each in ready_ms[photo]:
                FRESHNESS.labels(self.lane.value).observe(max(0.0, time() - each / 1_000))

        await asyncio.gather(*(put(photo) for photo in owners))

    async def _backfill(self, record: Backfill, is_assigned: Callable[[], bool]) -> None:
        written = await self._answered(
            lambda: backfill(self.stores, record, photos_max=self.settings.timeline_slots), is_assigned
        )
        DELIVERIES.labels(self.lane.value).inc(written)

    async def _answered(self, run: Callable[[], Awaitable[T]], is_assigned: Callable[[], bool]) -> T:
        async def one() -> T:
            async with self.calls:
                began_s = monotonic()
                answer = await run()
                if self.lane is Lane.BULK:
                    await self.way.rest(monotonic() - began_s)
                return answer

        return await retry_until_available(self.settings, one, is_assigned=is_assigned)
