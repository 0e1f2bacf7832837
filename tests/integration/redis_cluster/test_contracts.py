"""A Redis Cluster does what the ports promise: it passes the same suites as one server and the twins."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from streams.clock import unix_ms
from streams.ports.groups import Stores
from streams.stores.connect import redis_client, timelines_of
from streams.stores.memory.stores import memory_stores
from streams.stores.redis.budget import RedisRebuildBudget
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.health import RedisStoreClock, RedisStoreProbe
from streams.stores.redis.leases import RedisLeases
from streams.stores.redis.pages import RedisPageStarts
from streams.stores.redis.rates import RedisSharedRates
from streams.stores.redis.removal_marks import RedisRemovalMarks
from streams.stores.redis.undelivered import RedisUndeliveredPhotos
from streams.stores.redis.upload_limit import RedisUploadLimit
from tests.contract import limits
from tests.contract.suites.budget_suite import LeasesSuite, RatesSuite, RebuildBudgetSuite
from tests.contract.suites.cache_suite import CacheSuite, CacheTailSuite, PageStartsSuite
from tests.contract.suites.checkpoints_suite import CheckpointsSuite
from tests.contract.suites.coordination_suite import StoreClockSuite, StoreProbeSuite
from tests.contract.suites.delivery_suite import UndeliveredPhotosSuite
from tests.contract.suites.rebuild_suite import RebuildSuite
from tests.contract.suites.timelines_suite import RingBytesSuite, TimelinesSuite
from tests.contract.suites.uploads_suite import UploadLimitSuite
from tests.integration.redis_cluster.conftest import Cluster

BRIEF = {
    "timeline_ttl_s": limits.BRIEF_TTL_S,
    "timeline_renew_s": limits.BRIEF_RENEW_S,
    "rebuild_ttl_ms": limits.BRIEF_REBUILD_TTL_MS,
}


@asynccontextmanager
async def cluster_stores(
    cluster: Cluster, namespace: str, *, timeout_s: float = 10.0, **settings: object
) -> AsyncIterator[Stores]:
    """What Redis stores, in the cluster; all else in memory."""
    limited: Mapping[str, object] = {
        "namespace": namespace,
        "timeline_slots": limits.SLOTS,
        "timeline_ids": limits.SLOTS,
        "rebuilds_per_s_max": limits.REBUILDS_PER_S_MAX,
        "insert_ids_max": 16,  # Below the suites' numbers of owners, so one call becomes several.
    }
    used = cluster.settings.model_copy(update={**limited, **settings})
    redis = redis_client(used, timeout_s)
    wait_s = used.timelines_wait_ms_max / 1_000
    cache, timelines = RedisCache(redis, namespace=namespace, wait_s=wait_s), timelines_of(redis, used)
    yield replace(
        memory_stores(clock_ms=unix_ms),
        cache=cache,
        timelines=timelines,
        page_starts=RedisPageStarts(redis, cache, timelines),
        rates=RedisSharedRates(redis, namespace=namespace),
        leases=RedisLeases(redis, namespace=namespace),
        rebuild_budget=RedisRebuildBudget(redis, namespace=namespace, per_s_max=limits.REBUILDS_PER_S_MAX),
        upload_limit=RedisUploadLimit(redis, namespace=namespace, per_minute=used.uploads_per_minute),
        undelivered=RedisUndeliveredPhotos(redis, namespace=namespace, wait_s=wait_s),
        removal_marks=RedisRemovalMarks(redis, namespace=namespace, ttl_s=used.removal_mark_ttl_s),
        redis_probe=RedisStoreProbe(redis, namespace=namespace),
        redis_clock=RedisStoreClock(redis),
    )
    await redis.close()


@pytest.fixture(scope="module")
def namespace() -> str:
    return f"t{uuid4().hex[:8]}."


@pytest.fixture(scope="module")
async def stores(cluster: Cluster, namespace: str) -> AsyncIterator[Stores]:
    async with cluster_stores(cluster, namespace) as made:
        yield made


@pytest.fixture(scope="module")
async def brief_stores(cluster: Cluster, namespace: str) -> AsyncIterator[Stores]:
    async with cluster_stores(cluster, namespace, **BRIEF) as made:
        yield made


class TestTimelines(TimelinesSuite):
    pass


class TestRebuild(RebuildSuite):
    pass


class TestRingBytes(RingBytesSuite):
    pass


class TestCheckpoints(CheckpointsSuite):
    pass


class TestCache(CacheSuite):
    pass


class TestCacheTail(CacheTailSuite):
    pass


class TestPageStarts(PageStartsSuite):
    pass


class TestRates(RatesSuite):
    pass


class TestLeases(LeasesSuite):
    pass


class TestRebuildBudget(RebuildBudgetSuite):
    pass


class TestUploadLimit(UploadLimitSuite):
    pass


class TestUndeliveredPhotos(UndeliveredPhotosSuite):
    pass


class TestStoreProbe(StoreProbeSuite):
    pass


class TestStoreClock(StoreClockSuite):
    pass
