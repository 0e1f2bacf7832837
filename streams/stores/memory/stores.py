"""Every store in memory, for tests."""

from collections.abc import Callable, MutableMapping

from schemas.ids import OWN_SHARDS
from streams.ports.groups import HealthStores, Stores
from streams.stores.memory.budget import MemoryLeases, MemoryRebuildBudget, MemorySharedRates
from streams.stores.memory.cache import MemoryCache
from streams.stores.memory.cleaning import MemoryCleaningPositions, MemoryMissingObjects, MemoryPhotoScan
from streams.stores.memory.coordination import (
    MemoryHandledDeadLetters,
    MemoryShardLeases,
    MemoryStoppedPartitions,
    MemoryStuckPartitions,
    MemorySwitches,
    MemoryWorkerReports,
)
from streams.stores.memory.counted import MemoryCountedSets
from streams.stores.memory.delivery import (
    MemoryAuthors,
    MemoryDeferredPosts,
    MemoryPulledAuthors,
    MemoryUndeliveredPhotos,
)
from streams.stores.memory.health import MemoryStoreClock, MemoryStoreProbe
from streams.stores.memory.media import MemoryCdn, MemoryMediaObjects, MemoryMediaUploads
from streams.stores.memory.outgoing_edges import MemoryOutgoingEdges, MemoryRemovalMarks, MemoryUserScan
from streams.stores.memory.photos import MemoryAuthorPhotos, MemoryParkedPhotos, MemoryPhotos
from streams.stores.memory.revocations import MemoryRevocations
from streams.stores.memory.timelines import MemoryActiveReaders, MemoryPageStarts, MemoryTimelines
from streams.stores.memory.uploads import MemoryUploadLimit, MemoryUploads
from topics.catalogue import FANOUT
from topics.sizes import SIZES, Profile, Sizes


def memory_stores(
    *,
    clock_ms: Callable[[], int],
    timeline_slots: int = 600,
    timeline_ttl_s: int = 72 * 3_600,
    timeline_renew_s: int = 3_600,
    rebuild_ttl_ms: int = 30_000,
    rebuilds_per_s_max: int = 1_000,
    removed_edge_ttl_s: int = 28 * 86_400,
    removal_mark_ttl_s: int = 600,
    shard_leases: int = OWN_SHARDS,
    uploads_per_minute: int = 5,
    sizes: Sizes = SIZES[Profile.LOCAL],
    objects: MutableMapping[str, bytes] | None = None,
    timeline_groups: int = 1,
    cache: MemoryCache | None = None,
) -> Stores:
    """Make empty stores with the defaults of `streams.settings`, and a media bucket that holds `objects`.

    With several `timeline_groups` (a power of two, up to 256) timelines are as in a Redis Cluster.
    No store ever waits, so a call of a store never lets another task run.
    """
    bucket: MutableMapping[str, bytes] = {} if objects is None else objects
    photos, author_photos, cache = MemoryPhotos(), MemoryAuthorPhotos(), cache or MemoryCache(clock_ms)
    outgoing_edges = MemoryOutgoingEdges(clock_ms, removed_edge_ttl_s * 1_000)
    timelines = MemoryTimelines(
        clock_ms,
        slots=timeline_slots,
        ttl_s=timeline_ttl_s,
        renew_s=timeline_renew_s,
        rebuild_ttl_ms=rebuild_ttl_ms,
        fanout_partitions=sizes.partitions(FANOUT),
        groups=timeline_groups,
    )
    return Stores(
        photos=photos,
        author_photos=author_photos,
        outgoing_edges=outgoing_edges,
        user_scan=MemoryUserScan(outgoing_edges, author_photos),
        removal_marks=MemoryRemovalMarks(clock_ms, removal_mark_ttl_s * 1_000),
        counted_sets=MemoryCountedSets(clock_ms, removed_edge_ttl_s * 1_000),
        authors=MemoryAuthors(),
        pulled_authors=MemoryPulledAuthors(),
        undelivered=MemoryUndeliveredPhotos(),
        deferred=MemoryDeferredPosts(),
        parked=MemoryParkedPhotos(),
        stopped_partitions=MemoryStoppedPartitions(),
        stuck_partitions=MemoryStuckPartitions(clock_ms),
        handled_dead_letters=MemoryHandledDeadLetters(clock_ms),
        switches=MemorySwitches(),
        worker_reports=MemoryWorkerReports(clock_ms),
        revocations=MemoryRevocations(clock_ms),
        media_objects=MemoryMediaObjects(bucket, clock_ms),
        media_uploads=MemoryMediaUploads(bucket, clock_ms),
        uploads=MemoryUploads(clock_ms),
        upload_limit=MemoryUploadLimit(uploads_per_minute, clock_ms),
        photo_scan=MemoryPhotoScan(photos),
        missing_objects=MemoryMissingObjects(),
        cleaning_positions=MemoryCleaningPositions(),
        cdn=MemoryCdn(),
        timelines=timelines,
        **vars(_health(clock_ms)),
        cache=cache,
        active_readers=MemoryActiveReaders(),
        page_starts=MemoryPageStarts(cache, timelines),
        rates=MemorySharedRates(lambda: clock_ms() / 1_000),
        leases=MemoryLeases(clock_ms),
        shard_leases=MemoryShardLeases(shard_leases),
        rebuild_budget=MemoryRebuildBudget(rebuilds_per_s_max, lambda: clock_ms() / 1_000),
    )


def _health(clock_ms: Callable[[], int]) -> HealthStores:
    return HealthStores(
        cassandra_probe=MemoryStoreProbe(),
        redis_probe=MemoryStoreProbe(),
        s3_probe=MemoryStoreProbe(),
        cassandra_clock=MemoryStoreClock(clock_ms),
        redis_clock=MemoryStoreClock(clock_ms),
    )
