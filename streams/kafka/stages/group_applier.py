"""Apply records of `fanout` to a cluster of Redis, whose servers do not wait for each other.

What a server has that does not respond in time is left out, and applied again later from the log
(`group_checkpoints.py`). The script that was sent to it may still run then, or later: a photo that is twice
in a timeline is shown once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from schemas.envelope import Record
from schemas.internal import Backfill, Deliverable
from streams.clock import unix_ms
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import retry_until_available
from streams.kafka.stages.fanout_applier import NEVER_MS, backfills_of, decode, observe_freshness, posts_of
from streams.metrics import DELIVERIES
from streams.ports.groups import TimelineStores
from streams.ports.timelines import PhotosForOwners
from streams.settings import FanoutSettings, RetrySettings
from streams.timelines.fanout import (
    backfill,
    calls_of,
    photos_for_owners,
    put_photos,
    puts_of_groups,
)
from topics.catalogue import Lane

T = TypeVar("T")
LANE = Lane.NORMAL.value


@dataclass(slots=True)
class _Server:
    """The groups of timelines that are written on one server, of `count` in all.

    A call waits for `wait_s` at most; None is the deadline of the store. After a call that failed
    `is_late`, and no further call is made.
    """

    groups: frozenset[int]
    count: int
    calls: asyncio.Semaphore
    wait_s: float | None
    is_late: bool = False

    async def call(self, run: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of a call on timelines; None if it, or one before, did not succeed in time."""
        async with self.calls:
            if self.is_late:
                return None
            try:
                async with asyncio.timeout(self.wait_s):
                    return await run()
            except (StoreUnavailable, TimeoutError):
                self.is_late = True
                return None


@dataclass(slots=True)
class GroupApplier:
    """Applies records of the normal lane. `calls` bounds the calls of batches in flight, and `repair_calls`
    those of records that are applied again, so that a slow server holds up no batch. `clock_ms` is the wall
    clock."""

    settings: FanoutSettings
    retry: RetrySettings
    stores: TimelineStores
    calls: asyncio.Semaphore
    repair_calls: asyncio.Semaphore
    clock_ms: Callable[[], int] = unix_ms

    async def apply(
        self, records: Sequence[Record], is_assigned: Callable[[], bool], without: Collection[int]
    ) -> set[int]:
        """Apply records of one partition to all groups but some; returns further ones that were left out.

        Repeating the call changes nothing that a reader can see. Waits while the database is unavailable,
        or all servers of the groups are, for as long as the partition is assigned.

        Raises:
            PartitionRevoked: The partition was taken away; some records may not be applied.
        """
        decoded, wait_s = decode(records), self.settings.timelines_wait_ms_max / 1_000
        fresh_since_ms = self.clock_ms() - self.settings.fresh_s_max * 1_000

        async def to_all() -> set[int]:
            nonlocal fresh_since_ms
            by_server = await self.stores.timelines.groups_by_server()
            count = sum(map(len, by_server))
            servers = [
                _Server(groups, count, self.calls, wait_s)
                for of_server in by_server
                if (groups := frozenset(of_server) - set(without))
            ]
            # The cache is on the same servers.
            cache_wait_s = 0.0 if without else wait_s
            await asyncio.gather(
                self._put_all(posts_of(decoded), is_assigned, servers, fresh_since_ms, cache_wait_s),
                *(
                    retry_until_available(
                        self.retry, partial(self._backfill, record), is_assigned=is_assigned
                    )
                    for record in backfills_of(decoded)
                ),
            )
            if all(server.is_late for server in servers):
                fresh_since_ms = NEVER_MS  # What was appended before it failed must not be appended again.
                raise StoreUnavailable("redis", "fanout", "none of its servers responded in time")
            return {group for server in servers if server.is_late for group in server.groups}

        left_out = await retry_until_available(self.retry, to_all, is_assigned=is_assigned)
        observe_freshness(decoded, Lane.NORMAL, self.clock_ms())
        return left_out

    async def apply_again(
        self, records: Sequence[Record], is_assigned: Callable[[], bool], groups: Collection[int]
    ) -> None:
        """Apply records once more, to the timelines of these groups alone. A photo that is there stays once.

        Raises:
            PartitionRevoked: The partition was taken away; some records may not be applied.
            StoreUnavailable: Some records may not be applied; call it again.
        """
        decoded, by_server = decode(records), await self.stores.timelines.groups_by_server()
        server = _Server(frozenset(groups), sum(map(len, by_server)), self.repair_calls, None)
        await self._put_all(posts_of(decoded), is_assigned, [server], NEVER_MS, 0.0)
        for record in backfills_of(decoded):
            await self._backfill(record)
        if server.is_late:
            raise StoreUnavailable("redis", "repair", "a server did not respond")

    async def _put_all(
        self,
        posts: Sequence[Deliverable],
        is_assigned: Callable[[], bool],
        servers: Sequence[_Server],
        fresh_since_ms: int,
        cache_wait_s: float,
    ) -> None:
        settings = self.settings

        def read_pages() -> Awaitable[list[PhotosForOwners]]:
            copy_s = settings.follower_page_copy_s
            return photos_for_owners(self.stores, posts, page_copy_s=copy_s, cache_wait_s=cache_wait_s)

        puts = await retry_until_available(self.retry, read_pages, is_assigned=is_assigned)
        await asyncio.gather(
            *(
                self._put(call, server, fresh_since_ms)
                for server in servers
                for call in calls_of(
                    puts_of_groups(puts, server.groups, server.count), settings.append_owners_max
                )
            )
        )

    async def _put(self, puts: Sequence[PhotosForOwners], server: _Server, fresh_since_ms: int) -> None:
        written = await server.call(lambda: put_photos(self.stores, puts, fresh_since_ms=fresh_since_ms))
        DELIVERIES.labels(LANE).inc(written or 0)

    async def _backfill(self, record: Backfill) -> None:
        """Merge what workers of the version before put on this lane; it needs every server."""
        written = await backfill(self.stores, record, photos_max=self.settings.timeline_slots)
        DELIVERIES.labels(LANE).inc(written)
