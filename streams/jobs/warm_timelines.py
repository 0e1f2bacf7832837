"""Rebuild missing timelines before their owners ask for them, those of the latest readers first.

Each timeline is rebuilt as by its owner's request, so a run may be killed and repeated at any moment, and
may run beside readers. A timeline that exists is left alone.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from schemas.ids import PackedIds, UserId, pack_ids, unpack_ids
from streams.errors import StoreUnavailable
from streams.fairness import Shares
from streams.gathering import gather_bounded
from streams.ports.groups import ApiStores
from streams.ports.timelines import HOUR_S, ActiveReaders, Timelines
from streams.settings import FeedSettings, TimelineSettings
from streams.stores.cache.cached_reads import CachedReads
from streams.stores.cache.database_reads import DatabaseReads, TooManyReads
from streams.stores.cache.large_reads import LargeReads
from streams.stores.cache.read_through import ReadThrough
from streams.timelines.rebuild import Rebuilder, RebuildOutcome
from streams.timelines.rebuild_reads import followees_of, newest_photos_of

PAGE_READERS = 1_000
TRIES = 5
RETRY_S = 0.5
REBUILD_S_MAX = 30.0


@dataclass(slots=True)
class WarmedTimelines:
    """How far a run has got. `missing` timelines could not be rebuilt; `entries` are their photos' ids."""

    readers: int = 0
    existed: int = 0
    missing: int = 0
    entries: int = 0
    outcomes: Counter[RebuildOutcome] = field(default_factory=Counter)

    @property
    def rebuilt(self) -> int:
        return self.outcomes[RebuildOutcome.REBUILT]

    def count(self, outcome: RebuildOutcome) -> None:
        self.outcomes[outcome] += 1


def hours_of(now_s: float, timeline_ttl_s: int) -> range:
    """Return the hours in which the owners of today's timelines read, the latest first.

    Who read last before that has no timeline to lose.
    """
    hour = int(now_s) // HOUR_S
    return range(hour, hour - timeline_ttl_s // HOUR_S - 1, -1)


def warming_rebuilder(
    settings: TimelineSettings,
    reading: FeedSettings,
    stores: ApiStores,
    count: Callable[[RebuildOutcome], None],
    *,
    in_flight_max: int,
) -> Rebuilder:
    """Make a rebuilder for no request. Its reads share nothing with those of readers but the stores."""
    everything = Shares(user=1.0, address=1.0)
    database = DatabaseReads(reading.database_reads_in_flight_max, REBUILD_S_MAX, everything)
    reads = CachedReads.of(
        ReadThrough(stores.cache, database, lambda *_: None, LargeReads(REBUILD_S_MAX)),
        reading,
        outgoing_edges=stores.outgoing_edges,
        photos=stores.photos,
        author_photos=stores.author_photos,
        counted_sets=stores.counted_sets,
    )
    return Rebuilder(
        stores=stores,
        followees_of=followees_of(reads),
        timeline_ids=settings.timeline_ids,
        in_flight_max=in_flight_max,
        count=count,
        known_of=newest_photos_of(reads, reading.pull_list_ids_max),
    )


async def latest_readers(active_readers: ActiveReaders, hours: Iterable[int], limit: int) -> list[UserId]:
    """Return up to `limit` readers, each once, those of the first of `hours` first.

    Raises:
        StoreUnavailable: Begin again.
    """
    readers: dict[UserId, None] = {}
    for hour in hours:
        after: UserId | None = None
        while len(readers) < limit:
            page = await active_readers.page(hour, after, PAGE_READERS)
            readers.update(dict.fromkeys(page))
            if len(page) < PAGE_READERS:
                break
            after = page[-1]
    return list(readers)[:limit]


async def warm_timelines(
    timelines: Timelines,
    rebuilder: Rebuilder,
    readers: Sequence[UserId],
    warmed: WarmedTimelines,
    *,
    progressed: Callable[[int], None],
    retry_s: float = RETRY_S,
) -> None:
    """Rebuild the timelines of these readers that do not exist, at most `rebuilder.in_flight_max` at once.

    Counts in `warmed`, for which the rebuilder counts its outcomes, and tells `progressed` with how many of
    the readers it is done.

    Raises:
        StoreUnavailable: Redis or Cassandra did not answer; run it again.
    """

    done = 0

    async def rebuild(reader: UserId) -> None:
        nonlocal done
        try:
            window = await rebuilder.rebuild(reader, wait_s=REBUILD_S_MAX)
        except (StoreUnavailable, TooManyReads):
            return  # It is missing still, so it is tried again.
        if window is not None:
            warmed.entries += len(window.ids)
            done += 1
            progressed(done)

    for first in range(0, len(readers), PAGE_READERS):
        page = readers[first : first + PAGE_READERS]
        missing = await without_timeline(timelines, page)
        warmed.readers += len(page)
        warmed.existed += len(page) - len(missing)
        done += len(page) - len(missing)
        for _ in range(TRIES):
            await gather_bounded(missing, rebuild, at_once=rebuilder.in_flight_max)
            missing = await without_timeline(timelines, missing)
            if not missing:
                break
            # The budget of all rebuilds a second was spent, or a store did not answer.
            await asyncio.sleep(retry_s)
        warmed.missing += len(missing)
        done = first + len(page)
        progressed(done)


async def without_timeline(timelines: Timelines, readers: Sequence[UserId]) -> list[UserId]:
    """Return those of the readers, at most 1,000, who have no timeline."""
    if not readers:
        return []
    existing = set(unpack_ids(await timelines.existing(PackedIds(pack_ids(readers)))))
    return [reader for reader in readers if reader not in existing]
