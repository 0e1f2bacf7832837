"""Connect one process to the real stores."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from cassandra.cluster import NoHostAvailable, Session
from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from streams.core.breaker import Breaker
from streams.ports.groups import Stores
from streams.settings import Settings
from streams.stores.cassandra.authors import CassandraAuthors, CassandraPulledAuthors
from streams.stores.cassandra.cleaning import (
    CassandraCleaningPositions,
    CassandraMissingObjects,
    CassandraPhotoWalk,
)
from streams.stores.cassandra.counted import CassandraCountedSets
from streams.stores.cassandra.outgoing_edges import CassandraOutgoingEdges
from streams.stores.cassandra.parked import CassandraParkedPhotos
from streams.stores.cassandra.photos import CassandraAuthorPhotos, CassandraPhotos
from streams.stores.cassandra.session import CassandraSession, make_cluster
from streams.stores.cassandra.shard_leases import CassandraShardLeases
from streams.stores.cassandra.stops import CassandraStops
from streams.stores.cassandra.uploads import CassandraUploads
from streams.stores.cdn.purging import cdn
from streams.stores.redis.budget import RedisRebuildBudget
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.client import RedisClient
from streams.stores.redis.timelines import RedisTimelines
from streams.stores.redis.upload_limit import RedisUploadLimit
from streams.stores.s3.bucket import S3Bucket, s3_client
from streams.stores.s3.objects import S3MediaObjects
from streams.stores.s3.uploads import S3MediaUploads
from topics.catalogue import FANOUT

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(settings: Settings, *, timeout_ms: int) -> AsyncIterator[Stores]:
    """The real stores; `timeout_ms` is the longest that one operation may take.

    Waits for Cassandra and says so; Redis and S3 are connected to when first used.
    """
    timeout_s = timeout_ms / 1_000
    async with AsyncExitStack() as closing:
        session = await _session(settings, timeout_s)
        closing.callback(session.cluster.shutdown)
        database = CassandraSession(session, _breaker(settings), timeout_s)
        redis = RedisClient(settings.redis, _breaker(settings), timeout_s)
        closing.push_async_callback(redis.close)
        media_timeout_s = settings.media_timeout_ms / 1_000
        client = await closing.enter_async_context(s3_client(settings, media_timeout_s))
        bucket = S3Bucket(
            client,
            settings.s3_bucket,
            _breaker(settings),
            look_timeout_s=settings.media_look_timeout_ms / 1_000,
            transfer_timeout_s=media_timeout_s,
        )
        yield Stores(
            photos=CassandraPhotos(database),
            author_photos=CassandraAuthorPhotos(database),
            outgoing_edges=CassandraOutgoingEdges(database, settings.removed_edge_ttl_s),
            counted_sets=CassandraCountedSets(database, settings.removed_edge_ttl_s),
            authors=CassandraAuthors(database),
            pulled_authors=CassandraPulledAuthors(database),
            parked=CassandraParkedPhotos(database),
            stops=CassandraStops(database),
            media_objects=S3MediaObjects(bucket),
            media_uploads=S3MediaUploads(bucket),
            uploads=CassandraUploads(database),
            upload_limit=RedisUploadLimit(
                redis, namespace=settings.namespace, per_minute=settings.uploads_per_minute
            ),
            photo_walk=CassandraPhotoWalk(database),
            missing_objects=CassandraMissingObjects(database),
            cleaning_positions=CassandraCleaningPositions(database),
            cdn=await closing.enter_async_context(cdn(settings)),
            timelines=_timelines(redis, settings),
            cache=RedisCache(redis, namespace=settings.namespace),
            shard_leases=CassandraShardLeases(database),
            rebuild_budget=RedisRebuildBudget(
                redis, namespace=settings.namespace, per_s_max=settings.rebuilds_per_s_max
            ),
        )


def _breaker(settings: Settings) -> Breaker:
    return Breaker(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_ms / 1_000)


def _timelines(redis: RedisClient, settings: Settings) -> RedisTimelines:
    return RedisTimelines(
        redis,
        namespace=settings.namespace,
        slots=settings.timeline_slots,
        ttl_s=settings.timeline_ttl_s,
        renew_s=settings.timeline_renew_s,
        rebuild_ttl_ms=settings.rebuild_ttl_ms,
        append_owners_max=settings.append_owners_max,
        merge_owners_max=settings.merge_owners_max,
        fanout_partitions=FANOUT.partitions,
    )


@retry(
    retry=retry_if_exception_type(NoHostAvailable),
    wait=wait_random_exponential(multiplier=0.5, max=5),
    before_sleep=before_sleep_log(log, logging.WARNING),
)
async def _session(settings: Settings, timeout_s: float) -> Session:
    # A new one for each try: a cluster whose connect has failed is shut down for good.
    cluster = make_cluster(settings, timeout_s)
    return await asyncio.to_thread(cluster.connect, settings.keyspace)
