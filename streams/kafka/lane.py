"""One lane of `fanout`: apply its records to the timelines, and note in Redis how far.

The note is written after the timelines and before the commit: a Redis that came back
older than the commit is found by its note, see `notes.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from schemas.envelope import Record
from schemas.internal import Backfill, decode_fanout
from streams.handlers.fanout_records import apply_fanout
from streams.kafka.agent import Delivered
from streams.kafka.notes import FanoutNotes
from streams.kafka.progress import Place, Progress
from streams.kafka.waiting import NoLongerOurs, until_answered
from streams.metrics import DELIVERIES, FRESHNESS
from streams.settings import Settings
from streams.stores.ports import Stores
from topics.catalogue import Lane


@dataclass(slots=True)
class FanoutLane:
    """Handles the batches of one lane; at most `calls` records of it are being applied at any time."""

    settings: Settings
    stores: Stores
    group: str
    lane: Lane
    notes: FanoutNotes
    progress: Progress
    calls: asyncio.Semaphore

    async def __call__(self, delivered: Delivered) -> None:
        records = delivered.records
        partition, end = records[0].partition, records[-1].offset + 1
        place = Place(self.group, records[0].topic, partition)
        try:
            with self.progress.excused(place):
                async with self.notes.lock(partition):
                    await self.notes.ensure(partition, records[0].offset, delivered.still_ours)
                    await asyncio.gather(*(self.apply(each, delivered.still_ours) for each in records))
                    await self.notes.advance(partition, end, delivered.still_ours)
        except NoLongerOurs:
            return
        delivered.ack(len(records))
        self.progress.handled(place, end)

    async def apply(self, record: Record, still_ours: Callable[[], bool]) -> None:
        """Apply one record, waiting for the stores; also used by the repair."""
        assert record.value is not None  # Only this system writes the topic.
        decoded = decode_fanout(record.value)

        async def apply() -> int:
            async with self.calls:
                return await apply_fanout(
                    self.stores,
                    decoded,
                    now_ms=int(time() * 1_000),
                    fresh_ms_max=self.settings.fresh_s_max * 1_000,
                    backfill_photos_max=self.settings.timeline_slots,
                )

        written = await until_answered(self.settings, apply, still_ours=still_ours)
        DELIVERIES.labels(self.lane.value).inc(written)
        if not isinstance(decoded, Backfill):
            FRESHNESS.labels(self.lane.value).observe(max(0.0, time() - decoded.ready_ms / 1_000))
