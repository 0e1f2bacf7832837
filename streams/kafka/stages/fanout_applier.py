"""Apply records of `fanout` to the timelines, for the lane and for the repair of a lost Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias, TypeVar

from schemas.envelope import Record
from schemas.internal import Backfill, Deliverable, FanoutRecord, decode_fanout
from streams.clock import unix_ms
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import retry_until_available
from streams.metrics import DELIVERIES, FRESHNESS
from streams.ports.groups import TimelineStores
from streams.ports.timelines import PhotosForOwners
from streams.settings import RetrySettings, TimelineSettings
from streams.telemetry.causes import UNKNOWN, causes_in
from streams.telemetry.subjects import subjects_of_fanout
from streams.telemetry.tracing import current, exemplar_of
from streams.timelines.fanout import backfill, calls_of, photos_for_owners, put_photos
from topics.catalogue import Lane

T = TypeVar("T")
NEVER_MS = 2**63
# Records with their messages.
Decoded: TypeAlias = Sequence[tuple[Record, FanoutRecord]]


def decode(records: Sequence[Record]) -> Decoded:
    """Return the records that are not empty, each with its message."""
    return [(record, decode_fanout(record.value)) for record in records if record.value is not None]


def posts_of(decoded: Decoded) -> list[Deliverable]:
    return [message for _, message in decoded if not isinstance(message, Backfill)]


def backfills_of(decoded: Decoded) -> list[Backfill]:
    return [message for _, message in decoded if isinstance(message, Backfill)]


def observe_freshness(decoded: Decoded, lane: Lane, now_ms: int) -> None:
    """Count how old posts of a lane are, which are in the timelines now; exemplars lead to their traces."""
    is_traced = current() is not None
    for record, message in decoded:
        if isinstance(message, Backfill):
            continue
        age_s = max(0.0, (now_ms - message.ready_ms) / 1_000)
        photos = subjects_of_fanout(message)
        causes = causes_in(record.headers, list(photos)) if is_traced else {}
        for photo in photos:
            FRESHNESS.labels(lane.value).observe(age_s, exemplar_of(causes.get(photo, UNKNOWN)))


@dataclass(slots=True)
class FanoutApplier:
    """Applies records of one lane, with at most `calls` store calls in flight at any time.

    A backfill counts as one call, although it merges several timelines at once.

    The bulk lane rests after each call while the process has urgent work. `clock_ms` is the wall
    clock, `clock_s` is monotonic.
    """

    settings: TimelineSettings
    retry: RetrySettings
    stores: TimelineStores
    lane: Lane
    calls: asyncio.Semaphore
    throttle: BackgroundThrottle
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic

    async def apply(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        """Apply records of one partition. Repeating the call changes nothing that a reader can see.

        Waits while a store is unavailable, for as long as the partition is assigned.

        Raises:
            PartitionRevoked: The partition was taken away; some records may not be applied.
        """
        decoded = decode(records)
        await asyncio.gather(
            self._put_all(decoded, is_assigned),
            *(self._backfill(message, is_assigned) for message in backfills_of(decoded)),
        )

    async def _put_all(self, decoded: Decoded, is_assigned: Callable[[], bool]) -> None:
        posts, copy_s = posts_of(decoded), self.settings.follower_page_copy_s
        puts = await self._call(
            lambda: photos_for_owners(self.stores, posts, page_copy_s=copy_s), is_assigned
        )
        # A retry repeats one call only, and the bulk lane rests between two calls.
        calls = calls_of(puts, self.settings.append_owners_max)
        await asyncio.gather(*(self._put(call, is_assigned) for call in calls))
        observe_freshness(decoded, self.lane, self.clock_ms())

    async def _put(self, puts: Sequence[PhotosForOwners], is_assigned: Callable[[], bool]) -> None:
        since_ms = [self.clock_ms() - self.settings.fresh_s_max * 1_000]

        def put() -> Awaitable[int]:
            # A try that failed may have appended to many timelines, and each of its retries would do that
            # again. A late photo is merged instead, so all are late from the second try on.
            return put_photos(self.stores, puts, fresh_since_ms=since_ms.pop() if since_ms else NEVER_MS)

        written = await self._call(put, is_assigned)
        DELIVERIES.labels(self.lane.value).inc(written)

    async def _backfill(self, record: Backfill, is_assigned: Callable[[], bool]) -> None:
        written = await self._call(
            lambda: backfill(self.stores, record, photos_max=self.settings.timeline_slots), is_assigned
        )
        DELIVERIES.labels(self.lane.value).inc(written)

    async def _call(self, run: Callable[[], Awaitable[T]], is_assigned: Callable[[], bool]) -> T:
        async def call_once() -> T:
            async with self.calls:
                began_s = self.clock_s()
                result = await run()
                if self.lane is Lane.BULK:
                    await self.throttle.rest(self.clock_s() - began_s)
                return result

        return await retry_until_available(self.retry, call_once, is_assigned=is_assigned)
