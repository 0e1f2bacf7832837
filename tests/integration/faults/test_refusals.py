"""If a running store refuses a command, this is an outage: events wait, requests get 503, and no
process ends."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis
from cassandra.cluster import Session
from pydantic import SecretStr

from bench.refusing.redis import (
    RedisRefusal,
    busy_script,
    failing_snapshots,
    full_memory,
    no_permission,
    replica,
    replica_without_data,
)
from bench.traffic.outage import outage
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PackedIds, PhotoId, UserId, pack_ids
from streams.core.edges import OutgoingEdge
from streams.errors import StoreUnavailable
from streams.metrics import STORE_ERRORS
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.cassandra.migrations import read_migrations
from streams.stores.cassandra.session import make_cluster
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory
from tests.integration.test_outages import assert_answered

TIMEOUT_MS = 2_000
# The circuit breakers never open; otherwise they would fail calls before they reach the store.
NEVER_OPEN = 1_000_000
_ids = count(1)


@pytest.fixture
def direct(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis(port=stack.server("redis").port) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Deployment:
    environment = {
        "SHUTTERLINE_BREAKER_FAILURES_MAX": str(NEVER_OPEN),
        "SHUTTERLINE_BREAKER_KEY_FAILURES_MAX": str(NEVER_OPEN),
    }
    prepared = Deployment(stack, f"t{uuid4().hex[:8]}.", environment)
    prepared.prepare()
    return prepared


@pytest.fixture
async def stores(deployment: Deployment) -> AsyncIterator[Stores]:
    async with connect(deployment.settings, timeout_ms=TIMEOUT_MS) as connected:
        yield connected


def redis_operations(stores: Stores) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every kind of command that a process sends: plain commands, scripts and pipelines, on both
    connections."""
    owner, photo, token = UserId(next(_ids)), PhotoId(next(_ids)), uuid4().bytes[:8]
    return {
        "append": lambda: stores.timelines.append([PhotosForOwners((photo,), PackedIds(pack_ids([owner])))]),
        "insert": lambda: stores.timelines.insert(PackedIds(pack_ids([owner])), [photo]),
        "merge": lambda: stores.timelines.merge(owner, [photo]),
        "read": lambda: stores.timelines.read(owner),
        "existing": lambda: stores.timelines.existing(PackedIds(pack_ids([owner]))),
        "begin": lambda: stores.timelines.begin_rebuild(owner, token),
        "finish": lambda: stores.timelines.finish_rebuild(owner, token, [photo], 0),
        "forget": lambda: stores.timelines.forget(owner),
        "checkpoints": lambda: stores.timelines.checkpoints([0]),
        "save": lambda: stores.timelines.save_checkpoint(0, 1, expected=None),
        "save all": lambda: stores.timelines.save_all_checkpoints({1: 1}),
        "verified": stores.timelines.verified,
        "confirm": lambda: stores.timelines.confirm({0: 1}),
        "get": lambda: stores.cache.get([b"a"]),
        "lease": lambda: stores.cache.lease([b"a"]),
        "fill": lambda: stores.cache.fill(b"token", {b"a": b"b" * 10_000}, 60),
        "invalidate": lambda: stores.cache.invalidate([b"a"]),
        "budget": stores.rebuild_budget.take,
        "mark": lambda: stores.removal_marks.put(OutgoingEdge.LIKES, owner, photo, 1),
        "marks": lambda: stores.removal_marks.times(OutgoingEdge.LIKES, [(owner, photo)]),
        "limit": lambda: stores.upload_limit.take(owner, "a"),
        "probe": stores.redis_probe.check,
    }


async def unavailable(stores: Stores) -> set[str]:
    """Run every operation; returns the names of those that raised `StoreUnavailable`. Any other
    error is raised."""
    names = set()
    for name, run in redis_operations(stores).items():
        try:
            await run()
        except StoreUnavailable:
            names.add(name)
    return names


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [
        (full_memory, {"begin", "lease", "probe"}),
        (failing_snapshots, {"begin", "lease", "probe"}),
        (replica, {"begin", "lease", "probe"}),
        (replica_without_data, {"begin", "lease", "read", "probe"}),
        (no_permission, {"append", "begin", "lease", "read", "budget", "probe"}),
        (busy_script, {"append", "begin", "lease", "read", "budget", "probe"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_redis_refuses_is_an_outage(
    stores: Stores,
    stack: Stack,
    direct: redis.Redis,
    refusal: RedisRefusal,
    refused: set[str],
) -> None:
    """During the fault every operation succeeds or raises `StoreUnavailable`, and each failure is
    counted. After the fault all operations succeed."""
    before = errors_of("redis")
    with refusal(direct, stack.server("redis").data_dir):
        during = await unavailable(stores)
        again = await unavailable(stores)

    assert refused <= during
    assert refused <= again
    assert errors_of("redis") >= before + len(during)
    assert await unavailable(stores) == set()


def errors_of(store: str) -> float:
    samples = (sample for metric in STORE_ERRORS.collect() for sample in metric.samples)
    return sum(
        sample.value
        for sample in samples
        if sample.labels.get("store") == store and sample.name.endswith("_total")
    )


@pytest.mark.law("L7")
async def test_a_full_redis_loses_nothing_and_is_not_ready(
    shared: Deployment, direct: redis.Redis, tmp_path: Path
) -> None:
    """Under load: no 500, /readyz says 503 with the name, the worker lives, and every feed is right."""
    full = ExitStack()
    unready: list[str] = []

    async def watch() -> None:
        async with httpx.AsyncClient(base_url=shared.settings.api) as client:
            while True:
                response = await client.get("/readyz")
                assert response.status_code in (200, 503)
                if response.status_code == 503:
                    unready.append(response.json()["detail"])
                await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        reading = await outage(shared, lambda: full.enter_context(full_memory(direct, tmp_path)), full.close)
    finally:
        full.close()
    assert not watching.done(), watching.exception()
    watching.cancel()

    assert_answered(reading)
    assert set(unready) == {"No answer from redis."}


@pytest.mark.parametrize("way", ["key", "secret", "bucket"])
async def test_what_s3_refuses_is_an_outage(deployment: Deployment, way: str) -> None:
    """A rotated key, a wrong secret and a deleted bucket give 403 or 404 to requests that we
    signed."""
    wrong: dict[str, dict[str, Any]] = {
        "key": {"s3_access_key": "rotated"},
        "secret": {"s3_secret_key": SecretStr("wrong")},
        "bucket": {"s3_bucket": "gone"},
    }
    settings = deployment.settings.model_copy(update=wrong[way])
    async with connect(settings, timeout_ms=TIMEOUT_MS) as stores:
        media, uploads = stores.media_objects, stores.media_uploads
        runs: list[Callable[[], Awaitable[object]]] = [
            lambda: media.put("a", b"b", content_type="image/jpeg"),
            lambda: media.list("", limit=1),
            lambda: uploads.begin_parts("a", content_type="image/jpeg"),
            lambda: uploads.unfinished(""),
            stores.s3_probe.check,
        ]
        if way != "bucket":  # HEAD has no body, so a bucket that is gone is an object that is gone.
            runs += [lambda: media.size("a"), lambda: media.read("a", bytes_max=9)]
        for run in runs:
            with pytest.raises(StoreUnavailable):
                await run()


async def test_a_table_that_is_dropped_is_an_outage(deployment: Deployment, stores: Stores) -> None:
    """The table comes back, because it is restored or because this node learns of it later. Reads
    succeed then."""
    photo = PhotoId(1)
    cluster = make_cluster(deployment.settings, timeout_s=30.0)
    try:
        session: Session = cluster.connect(deployment.settings.keyspace)
        assert await stores.photos.get([photo]) == {}
        session.execute("DROP TABLE photos")
        with pytest.raises(StoreUnavailable):
            await stores.photos.get([photo])
        for migration in read_migrations():
            if re.search(r"TABLE (IF NOT EXISTS )?photos\b", migration.statement):
                session.execute(migration.statement)

        async def recovers() -> bool:
            try:
                return await stores.photos.get([photo]) == {}
            except StoreUnavailable:
                return False

        await eventually("the table is read again", recovers)
    finally:
        cluster.shutdown()


async def test_a_revoked_permission_of_redis_ends_no_process(
    deploy: DeploymentFactory, direct: redis.Redis, tmp_path: Path
) -> None:
    """The API and the worker continue to run, and are ready again after the permission is back."""
    deployment = deploy()
    deployment.start_all()
    async with httpx.AsyncClient(base_url=deployment.settings.api) as client:

        async def ready() -> bool:
            response = await client.get("/readyz")
            assert response.status_code in (200, 503)
            return response.status_code == 200

        async def unready() -> bool:
            return not await ready()

        with no_permission(direct, tmp_path):
            await eventually("the API is not ready", unready)
        await eventually("the API is ready", ready)
    await deployment.drained()
