"""A process that handles something, and dies or fails at any call; another process then repeats it.

A reader reads everything through the cache: before, at the moment of the death, and at the end. `stored` is
what the stores have, `seen` what the reader sees.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.facts import EventData
from schemas.ids import PhotoId, UserId, compose_id, unpack_ids
from schemas.internal import EdgeRecord, RenditionTask, SetKind
from streams.core import ring
from streams.core.counted import BUCKETS
from streams.core.edges import OutgoingEdge
from streams.core.overload.deferral import PERIOD_MS
from streams.core.sets import BucketKey
from streams.errors import StoreUnavailable
from streams.fairness import Shares
from streams.ports.cache import Cache
from streams.ports.groups import Stores
from streams.ports.publishing import FanoutMessage
from streams.settings import Settings
from streams.stores.cache.cached_reads import CachedReads
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads
from streams.stores.cache.read_through import ReadThrough
from streams.stores.memory.cache import MemoryCache
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Killed, Moment, pause
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, Lane

NOW_MS = 1_800_000_000_000
AUTHOR, OTHER, READER = UserId(7), UserId(8), UserId(9)
AUTHORS = (AUTHOR, OTHER)
FANS = (READER, UserId(10), UserId(11))
USERS = (*AUTHORS, *FANS)
# Two that a test handles, and one that was there before. All are of the same period of deferred posts.
PHOTO, SECOND, EARLIER = (PhotoId(compose_id(NOW_MS, 5_000, number)) for number in (1, 2, 0))
PHOTOS = (PHOTO, SECOND, EARLIER)
SETTINGS = Settings(_env_file=None)
OWNERS = {SetKind.FOLLOWERS: AUTHORS, SetKind.LIKERS: PHOTOS, SetKind.READY_PHOTOS: AUTHORS}
SETTLED = ("tombstones", "lists", "sets", "members", "edges", "undelivered")
WAIT_S = 60.0
At = Callable[[Moment], Awaitable[None]]


async def together(_: Moment) -> None:
    """Suspend at every moment, so that calls that run at once take turns."""
    await pause()


@dataclass(slots=True)
class Published:
    """A fake outbox and publisher: what was published, each record once, because records may come twice."""

    records: set[object] = field(default_factory=set)

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        self.records |= set(records)

    async def recount(self, buckets: Sequence[BucketKey]) -> None:
        self.records |= set(buckets)

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        self.records |= {(lane, message.record) for message in messages}
        return {LOCAL.range_of(FANOUT, lane).start: len(self.records)}

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        self.records |= {(lane, task) for task in tasks}

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        self.records.add((event_data.model_dump_json(), time_us))

    async def ping(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Process:
    """What a process works with. `outbox` also publishes events."""

    stores: Stores
    outbox: Any


def reads_of(stores: Stores, cache: Cache) -> CachedReads:
    """Return the reads of the API, for one request."""
    through = ReadThrough(
        cache,
        DatabaseReads(1, WAIT_S, Shares(user=1.0, address=1.0)),
        lambda *_: None,
        LargeReads(WAIT_S),
    )
    return CachedReads.of(
        through,
        SETTINGS,
        outgoing_edges=stores.outgoing_edges,
        photos=stores.photos,
        author_photos=stores.author_photos,
        counted_sets=stores.counted_sets,
    )


@dataclass(slots=True)
class World:
    """The stores, the logs and a reader. All processes have the same clock, which stands still."""

    now_ms: int = NOW_MS
    objects: dict[str, bytes] = field(default_factory=dict)
    published: Published = field(default_factory=Published)
    moments: list[Moment] = field(default_factory=list)
    real: Stores = field(init=False)

    def __post_init__(self) -> None:
        self.real = memory_stores(clock_ms=lambda: self.now_ms, objects=self.objects)

    def process(self, at: At = together) -> Process:
        """Start a process, whose calls meet `at`."""
        flaky = FlakyStores(self.real, at)
        self.moments = flaky.moments
        return Process(flaky.stores, flaky.around("outbox", self.published))

    async def seen(self, cache: Cache | None = None) -> dict[str, object]:
        """Return what the reader sees through the cache, or through another one."""
        reads = reads_of(self.real, cache or self.real.cache)
        lists = (await reads.pull_lists(AUTHORS)).values
        return {
            "following": (await reads.following(READER)).values,
            "following counts": (await reads.following_counts(READER)).values,
            "photos": (await reads.photos(PHOTOS)).values,
            "pull lists": {author: (list(of.ready), list(of.unready)) for author, of in lists.items()},
            "liked": await reads.liked(READER, PHOTOS, {}),
            **{kind.value: (await reads.totals(kind, OWNERS[kind])).values for kind in SetKind},
        }

    async def truth(self) -> dict[str, object]:
        """Return what the reader sees if nothing is cached."""
        return await self.seen(MemoryCache(lambda: self.now_ms))

    async def stored(self) -> dict[str, object]:
        """Return what the stores have, but for the cache."""
        stores, edges = self.real, self.real.outgoing_edges
        summaries = {kind: await stores.counted_sets.summaries(kind, OWNERS[kind]) for kind in SetKind}
        value = await stores.timelines.peek(READER)
        return {
            "photos": await stores.photos.get(PHOTOS),
            "tombstones": await stores.photos.tombstones(
                [(photo, user) for photo in PHOTOS for user in AUTHORS]
            ),
            "lists": await stores.author_photos.newest(AUTHORS, below=2**62, each_max=9),
            "sets": summaries,
            "members": {
                (kind, owner): await self._members(kind, owner, summary.level)
                for kind, of_kind in summaries.items()
                for owner, summary in of_kind.items()
            },
            "edges": {
                (kind, user, owner): await edges.state(kind, user, owner)
                for kind, owners in ((OutgoingEdge.FOLLOWING, AUTHORS), (OutgoingEdge.LIKES, PHOTOS))
                for user in FANS
                for owner in owners
            },
            "modes": await stores.authors.modes_by_size(AUTHORS),
            "pulled": await stores.pulled_authors.all(),
            "undelivered": await stores.undelivered.all(),
            "deferred": await stores.deferred.of_period(NOW_MS // PERIOD_MS),
            "parked": await stores.parked.due(2**41, 9),
            "uploads": [upload async for upload in stores.uploads.all()],
            "missing": await stores.missing_objects.all(),
            "objects": dict(self.objects),
            "timeline": None if value is None else ring.parse(value).ids,
        }

    async def settled(self) -> dict[str, object]:
        """Return what a paused process that goes on must not change.

        It may add to the row of a photo that is deleted or rejected, and publish once more.
        """
        stored = await self.stored()
        return {name: stored[name] for name in SETTLED}

    async def _members(self, kind: SetKind, owner: int, level: int) -> list[tuple[int, ...]]:
        keys = [BucketKey(kind, owner, level, bucket) for bucket in range(BUCKETS[level])]
        pages = await self.real.counted_sets.members(keys)
        counts = await self.real.counted_sets.bucket_counts(kind, owner, level)
        return [(counts.get(key.bucket, 0), *unpack_ids(pages[key])) for key in keys]


async def nothing(_: World) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Case:
    """A handler, and what was there before.

    `handler` makes what a process calls again after a failure of a store; another process makes its own.
    If the operations `may_fail` fail, the handler does something else instead, and does not fail.
    """

    name: str
    handler: Callable[[Process], Callable[[], Awaitable[object]]]
    given: Callable[[World], Awaitable[None]] = nothing
    may_fail: frozenset[str] = frozenset()


async def handled(case: Case, at: At = together) -> World:
    """Let a process handle it, which may die or fail once. Then it is repeated, after the reader has read."""
    world = World()
    await case.given(world)
    await world.seen()
    others = asyncio.all_tasks()
    run = case.handler(world.process(at))
    moments = world.moments
    try:
        await run()
    except Killed:
        await world.seen()
        await case.handler(world.process())()
    except StoreUnavailable:
        await world.seen()
        await run()
    while asyncio.all_tasks() - others:
        await pause()  # What a failed call had begun goes on.
    world.moments = moments
    return world
