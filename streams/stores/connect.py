"""Connect one process to the real stores."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from streams.errors import StoreUnavailable
from streams.ports.groups import CoordinationStores, Stores
from streams.retrying import while_starting
from streams.settings import CassandraSettings, RedisSettings, S3Settings, StoreSettings
from streams.stores.cassandra.active_readers import CassandraActiveReaders
from streams.stores.cassandra.cleaning import (
    CassandraCleaningPositions,
    CassandraMissingObjects,
    CassandraPhotoScan,
)
from streams.stores.cassandra.coordination import (
    CassandraHandledDeadLetters,
    CassandraShardLeases,
    CassandraStoppedPartitions,
    CassandraStuckPartitions,
    CassandraSwitches,
    CassandraWorkerReports,
)
from streams.stores.cassandra.counted import CassandraCountedSets
from streams.stores.cassandra.delivery import CassandraAuthors, CassandraDeferredPosts, CassandraPulledAuthors
from streams.stores.cassandra.health import CassandraStoreClock, CassandraStoreProbe
from streams.stores.cassandra.outgoing_edges import CassandraOutgoingEdges
from streams.stores.cassandra.parked import CassandraParkedPhotos
from streams.stores.cassandra.photos import CassandraAuthorPhotos, CassandraPhotos
from streams.stores.cassandra.revocations import CassandraRevocations
from streams.stores.cassandra.session import CassandraSession, open_session
from streams.stores.cassandra.uploads import CassandraUploads
from streams.stores.cassandra.user_scan import CassandraUserScan
from streams.stores.cdn.purging import HttpCdn, cdn
from streams.stores.guard import breaker_of, key_breakers_of
from streams.stores.redis.access import require_access as require_redis
from streams.stores.redis.access import url_of
from streams.stores.redis.budget import RedisRebuildBudget
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.connection.client import RedisClient
from streams.stores.redis.connection.cluster import RedisCluster
from streams.stores.redis.connection.server import RedisServer
from streams.stores.redis.health import RedisStoreClock, RedisStoreProbe
from streams.stores.redis.leases import RedisLeases
from streams.stores.redis.pages import RedisPageStarts
from streams.stores.redis.rates import RedisSharedRates
from streams.stores.redis.removal_marks import RedisRemovalMarks
from streams.stores.redis.timelines import RedisTimelines
from streams.stores.redis.undelivered import RedisUndeliveredPhotos
from streams.stores.redis.upload_limit import RedisUploadLimit
from streams.stores.s3.access import require_access as require_s3
from streams.stores.s3.bucket import S3Bucket, s3_client
from streams.stores.s3.health import S3StoreProbe
from streams.stores.s3.objects import S3MediaObjects
from streams.stores.s3.uploads import S3MediaUploads
from streams.threads import in_thread
from topics.catalogue import FANOUT
from topics.sizes import SIZES

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandClients:
    """The clients that connect when they are first used; a process has them from its first second."""

    redis: RedisClient
    s3: S3Bucket
    cdn: HttpCdn


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreClients(OnDemandClients):
    """One client for each server; all stores of a process share them."""

    cassandra: CassandraSession


@asynccontextmanager
async def connect(settings: StoreSettings, *, timeout_ms: int) -> AsyncIterator[Stores]:
    """Yield the real stores; `timeout_ms` bounds one operation of Cassandra or Redis.

    If Cassandra is down, this logs a warning and retries until it is up. Redis and S3 are connected
    when they are first used.

    Raises:
        StoreMisconfigured: Cassandra will never let this process in with these settings.
    """
    async with (
        on_demand_clients(settings, timeout_ms=timeout_ms) as clients,
        connect_stores(clients, settings, timeout_ms=timeout_ms) as stores,
    ):
        yield stores


@asynccontextmanager
async def on_demand_clients(settings: StoreSettings, *, timeout_ms: int) -> AsyncIterator[OnDemandClients]:
    """Yield the clients that need no server to be up yet."""
    async with AsyncExitStack() as closing:
        redis = redis_client(settings, timeout_ms / 1_000)
        closing.push_async_callback(redis.close)
        yield OnDemandClients(
            redis=redis,
            s3=await closing.enter_async_context(_bucket(settings)),
            cdn=await closing.enter_async_context(cdn(settings)),
        )


async def require_access(clients: OnDemandClients, settings: StoreSettings) -> None:
    """Return if Redis and S3 let this process in, or may do so later. Connecting to Cassandra asks it, too.

    Only long-running processes ask: a command may need neither of them. Takes seconds at most.

    Raises:
        StoreMisconfigured: One never will with these settings. Nothing was written.
    """
    await asyncio.gather(require_redis(settings), require_s3(clients.s3, settings))


@asynccontextmanager
async def connect_stores(
    clients: OnDemandClients, settings: StoreSettings, *, timeout_ms: int
) -> AsyncIterator[Stores]:
    """Yield the stores over `clients` and Cassandra, which this connects to; waits like `connect`."""

    @_while_unavailable
    async def prepared(closing: AsyncExitStack) -> Stores:
        # Cassandra may go away again while the statements are prepared, so both are one try.
        async with AsyncExitStack() as failing:
            connected = await _connected(clients, settings, timeout_ms / 1_000, failing)
            stores = await in_thread(stores_of, connected, settings)
            closing.push_async_exit(failing.pop_all())
            return stores

    async with AsyncExitStack() as closing:
        yield await prepared(closing)


@asynccontextmanager
async def connect_clients(settings: StoreSettings, *, timeout_ms: int) -> AsyncIterator[StoreClients]:
    """Yield the clients from which `stores_of` makes the stores; waits like `connect`."""
    async with on_demand_clients(settings, timeout_ms=timeout_ms) as clients, AsyncExitStack() as closing:
        yield await _while_unavailable(_connected)(clients, settings, timeout_ms / 1_000, closing)


@asynccontextmanager
async def connect_coordination(
    settings: CassandraSettings, *, timeout_ms: int
) -> AsyncIterator[CoordinationStores]:
    """Yield what processes agree on, over a session of its own; waits like `connect`, and raises the same."""

    @_while_unavailable
    async def prepared(closing: AsyncExitStack) -> CoordinationStores:
        async with AsyncExitStack() as failing:
            database = await _database(settings, timeout_ms / 1_000, failing)
            stores = await in_thread(_coordination_of, database)
            closing.push_async_exit(failing.pop_all())
            return stores

    async with AsyncExitStack() as closing:
        yield await prepared(closing)


def _coordination_of(database: CassandraSession) -> CoordinationStores:
    return CoordinationStores(
        stopped_partitions=CassandraStoppedPartitions(database),
        stuck_partitions=CassandraStuckPartitions(database),
        handled_dead_letters=CassandraHandledDeadLetters(database),
        switches=CassandraSwitches(database),
        worker_reports=CassandraWorkerReports(database),
        shard_leases=CassandraShardLeases(database),
    )


def stores_of(clients: StoreClients, settings: StoreSettings) -> Stores:
    """Make the stores of one process; blocks its thread while Cassandra prepares the statements.

    Raises:
        StoreUnavailable: Cassandra did not answer, or the schema is not there yet.
    """
    database, redis, namespace = clients.cassandra, clients.redis, settings.namespace
    wait_s = settings.timelines_wait_ms_max / 1_000
    cache, timelines = (
        RedisCache(redis, namespace=namespace, wait_s=wait_s),
        timelines_of(redis, settings),
    )
    return Stores(
        photos=CassandraPhotos(database),
        author_photos=CassandraAuthorPhotos(database),
        outgoing_edges=CassandraOutgoingEdges(database, settings.removed_edge_ttl_s),
        user_scan=CassandraUserScan(database),
        removal_marks=RedisRemovalMarks(redis, namespace=namespace, ttl_s=settings.removal_mark_ttl_s),
        counted_sets=CassandraCountedSets(database, settings.removed_edge_ttl_s),
        authors=CassandraAuthors(database),
        pulled_authors=CassandraPulledAuthors(database),
        undelivered=RedisUndeliveredPhotos(redis, namespace=namespace, wait_s=wait_s),
        deferred=CassandraDeferredPosts(database),
        parked=CassandraParkedPhotos(database),
        **vars(_coordination_of(database)),
        revocations=CassandraRevocations(database),
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
        cassandra_clock=CassandraStoreClock(database),
        redis_clock=RedisStoreClock(redis),
        timelines=timelines,
        cache=cache,
        active_readers=CassandraActiveReaders(database, life_s=settings.timeline_ttl_s),
        page_starts=RedisPageStarts(redis, cache, timelines),
        rates=RedisSharedRates(redis, namespace=namespace),
        leases=RedisLeases(redis, namespace=namespace),
        rebuild_budget=RedisRebuildBudget(redis, namespace=namespace, per_s_max=settings.rebuilds_per_s_max),
    )


def probes_of(clients: OnDemandClients, namespace: str) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return the checks of the stores that can be asked before Cassandra is connected, by name."""
    return {
        "redis": RedisStoreProbe(clients.redis, namespace=namespace).check,
        "s3": S3StoreProbe(clients.s3).check,
    }


def redis_client(settings: RedisSettings, timeout_s: float) -> RedisClient:
    """Make a client, which connects when it is first used. The caller must close it."""
    if settings.redis_cluster:
        return RedisCluster(url_of(settings), lambda: breaker_of(settings), timeout_s)
    return RedisServer(url_of(settings), breaker_of(settings), timeout_s)


def timelines_of(redis: RedisClient, settings: StoreSettings) -> RedisTimelines:
    """Make the timelines over a client; needs no server to be up yet."""
    return RedisTimelines(
        redis,
        namespace=settings.namespace,
        slots=settings.timeline_slots,
        ttl_s=settings.timeline_ttl_s,
        renew_s=settings.timeline_renew_s,
        rebuild_ttl_ms=settings.rebuild_ttl_ms,
        insert_ids_max=settings.insert_ids_max,
        fanout_partitions=SIZES[settings.sizes].partitions(FANOUT),
    )


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


async def _connected(
    clients: OnDemandClients, settings: CassandraSettings, timeout_s: float, closing: AsyncExitStack
) -> StoreClients:
    return StoreClients(
        cassandra=await _database(settings, timeout_s, closing),
        redis=clients.redis,
        s3=clients.s3,
        cdn=clients.cdn,
    )


async def _database(
    settings: CassandraSettings, timeout_s: float, closing: AsyncExitStack
) -> CassandraSession:
    session = await in_thread(open_session, settings, timeout_s)
    closing.callback(session.cluster.shutdown)
    return CassandraSession(session, breaker_of(settings), timeout_s, key_breakers_of(settings))


def _while_unavailable(run: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Retry `run` until its store is available, with one line of log for each retry."""
    return while_starting(on=StoreUnavailable, log=log).wraps(run)
