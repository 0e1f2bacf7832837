"""Connect one process to the real stores."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from cassandra.cluster import NoHostAvailable, Session

from streams.ports.groups import Stores
from streams.retrying import with_backoff
from streams.settings import CassandraSettings, RedisSettings, S3Settings, StoreSettings, TimelineSettings
from streams.stores.cassandra.authors import CassandraAuthors, CassandraPulledAuthors
from streams.stores.cassandra.cleaning import (
    CassandraCleaningPositions,
    CassandraMissingObjects,
    CassandraPhotoScan,
)
from streams.stores.cassandra.counted import CassandraCountedSets
from streams.stores.cassandra.health import CassandraStoreProbe
from streams.stores.cassandra.outgoing_edges import CassandraOutgoingEdges
from streams.stores.cassandra.parked import CassandraParkedPhotos
from streams.stores.cassandra.photos import CassandraAuthorPhotos, CassandraPhotos
from streams.stores.cassandra.session import CassandraSession, make_cluster
from streams.stores.cassandra.shard_leases import CassandraShardLeases
from streams.stores.cassandra.stops import CassandraStoppedPartitions, CassandraStuckPartitions
from streams.stores.cassandra.uploads import CassandraUploads
from streams.stores.cdn.purging import HttpCdn, cdn
from streams.stores.guard import breaker_of, key_breakers_of
from streams.stores.redis.budget import RedisRebuildBudget
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.client import RedisClient
from streams.stores.redis.health import RedisStoreProbe
from streams.stores.redis.removal_marks import RedisRemovalMarks
from streams.stores.redis.timelines import RedisTimelines
from streams.stores.redis.upload_limit import RedisUploadLimit
from streams.stores.s3.bucket import S3Bucket, s3_client
from streams.stores.s3.health import S3StoreProbe
from streams.stores.s3.objects import S3MediaObjects
from streams.stores.s3.uploads import S3MediaUploads
from topics.catalogue import FANOUT

CONNECT_WAIT_FIRST_S, CONNECT_WAIT_MAX_S = 0.5, 5
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreClients:
    """One client for each server; all stores of a process share them."""

    cassandra: CassandraSession
    redis: RedisClient
    s3: S3Bucket
    cdn: HttpCdn


@asynccontextmanager
async def connect(settings: StoreSettings, *, timeout_ms: int) -> AsyncIterator[Stores]:
    """Yield the real stores; `timeout_ms` bounds one operation of Cassandra or Redis.

    If Cassandra is down, this logs a warning and retries until it is up. Redis and S3 are connected
    when they are first used.
    """
    async with connect_clients(settings, timeout_ms=timeout_ms) as clients:
        yield stores_of(clients, settings)


@asynccontextmanager
async def connect_clients(settings: StoreSettings, *, timeout_ms: int) -> AsyncIterator[StoreClients]:
    """Yield the clients from which `stores_of` makes the stores; waits like `connect`."""
    timeout_s = timeout_ms / 1_000
    async with AsyncExitStack() as closing:
        session = await _session(settings, timeout_s)
        closing.callback(session.cluster.shutdown)
        redis = redis_client(settings, timeout_s)
        closing.push_async_callback(redis.close)
        yield StoreClients(
            cassandra=CassandraSession(session, breaker_of(settings), timeout_s, key_breakers_of(settings)),
            redis=redis,
            s3=await closing.enter_async_context(_bucket(settings)),
            cdn=await closing.enter_async_context(cdn(settings)),
        )


def stores_of(clients: StoreClients, settings: StoreSettings) -> Stores:
    """Make the stores of one process; blocks while Cassandra prepares the statements."""
    database, redis, namespace = clients.cassandra, clients.redis, settings.namespace
    return Stores(
        photos=CassandraPhotos(database),
        author_photos=CassandraAuthorPhotos(database),
        outgoing_edges=CassandraOutgoingEdges(database, settings.removed_edge_ttl_s),
        removal_marks=RedisRemovalMarks(redis, namespace=namespace, ttl_s=settings.removal_mark_ttl_s),
        counted_sets=CassandraCountedSets(database, settings.removed_edge_ttl_s),
        authors=CassandraAuthors(database),
        pulled_authors=CassandraPulledAuthors(database),
        parked=CassandraParkedPhotos(database),
        stopped_partitions=CassandraStoppedPartitions(database),
        stuck_partitions=CassandraStuckPartitions(database),
        media_objects=S3MediaObjects(clients.s3),
        media_uploads=S3MediaUploads(clients.s3),
        uploads=CassandraUploads(database),
        upload_limit=RedisUploadLimit(redis, namespace=namespace, per_minute=settings.uploads_per_minute),
        photo_scan=CassandraPhotoScan(database),
        missing_objects=CassandraMissingObjects(database),
        cleaning_positions=CassandraCleaningPositions(database),
        cdn=clients.cdn,
        cassandra_probe=CassandraStoreProbe(database),
        redis_probe=RedisStoreProbe(redis, namespace=namespace),
        s3_probe=S3StoreProbe(clients.s3),
        timelines=_timelines(redis, settings, namespace),
        cache=RedisCache(redis, namespace=namespace),
        shard_leases=CassandraShardLeases(database),
        rebuild_budget=RedisRebuildBudget(redis, namespace=namespace, per_s_max=settings.rebuilds_per_s_max),
    )


def redis_client(settings: RedisSettings, timeout_s: float) -> RedisClient:
    """Make a client, which connects when it is first used. The caller must close it."""
    return RedisClient(settings.redis, breaker_of(settings), timeout_s)


@asynccontextmanager
async def _bucket(settings: S3Settings) -> AsyncIterator[S3Bucket]:
    transfer_timeout_s = settings.media_timeout_ms / 1_000
    async with s3_client(settings, transfer_timeout_s) as client:
        yield S3Bucket(
            client,
            settings.s3_bucket,
            breaker_of(settings),
            look_timeout_s=settings.media_look_timeout_ms / 1_000,
            transfer_timeout_s=transfer_timeout_s,
        )


def _timelines(redis: RedisClient, settings: TimelineSettings, namespace: str) -> RedisTimelines:
    return RedisTimelines(
        redis,
        namespace=namespace,
        slots=settings.timeline_slots,
        ttl_s=settings.timeline_ttl_s,
        renew_s=settings.timeline_renew_s,
        rebuild_ttl_ms=settings.rebuild_ttl_ms,
        append_owners_max=settings.append_owners_max,
        merge_owners_max=settings.merge_owners_max,
        fanout_partitions=FANOUT.partitions,
    )


async def _session(settings: CassandraSettings, timeout_s: float) -> Session:
    async def connect_once() -> Session:
        # Each try needs a new cluster, because a cluster that failed to connect is shut down.
        return await asyncio.to_thread(make_cluster(settings, timeout_s).connect, settings.keyspace)

    retrying = with_backoff(
        on=NoHostAvailable, first_s=CONNECT_WAIT_FIRST_S, max_s=CONNECT_WAIT_MAX_S, log=log
    )
    return await retrying(connect_once)
