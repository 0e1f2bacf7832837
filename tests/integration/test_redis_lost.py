"""Redis may lose its contents or be restored from an old snapshot at any moment. Afterwards every
feed is correct again."""

import asyncio
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from bench.traffic.redis_servers import RedisServers
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import UserId
from streams.jobs.warm_timelines import latest_readers
from streams.ports.timelines import HOUR_S
from streams.stores.connect import connect
from tests.integration.test_feeds import call

DEADLINE_S = 60.0


@pytest.mark.law("L8")
async def test_a_redis_that_comes_back_older_is_repaired(
    shared: Deployment, stack: Stack, tmp_path: Path
) -> None:
    """Rolled back under load to an older snapshot: feeds as if nothing had happened, no timeline rebuilt."""
    deployment = shared
    readers, authors = await everybody_follows_everybody(deployment)
    servers = RedisServers(stack)
    async with client_of(deployment) as client:
        for reader in readers:
            await feed_of(client, reader)
        rebuilt = deployment.metric("shutterline_rebuilds_total", "api")
        posting = Posting(deployment, authors)
        await posting.until(100)
        await asyncio.to_thread(servers.copy, tmp_path)
        await posting.until(200)
        await deployment_applied(deployment)
        await asyncio.to_thread(servers.roll_back, tmp_path)
        await posting.until(100)
        await posting.stop()
        await deployment.drained()
        feeds = {reader: await feed_of(client, reader) for reader in readers}

    assert feeds == dict.fromkeys(readers, posting.newest_first)
    assert deployment.metric("shutterline_timeline_repaired_records_total") > 0
    assert deployment.metric("shutterline_rebuilds_total", "api") == rebuilt


async def deployment_applied(deployment: Deployment) -> None:
    """Wait until at least 800 more photos have been delivered, so that they are missing from the
    snapshot."""
    before = deployment.metric("shutterline_deliveries_total")
    async with asyncio.timeout(DEADLINE_S):
        while deployment.metric("shutterline_deliveries_total") < before + 800:  # noqa: ASYNC110 - changes elsewhere
            await asyncio.sleep(0.1)


@pytest.mark.law("L8")
async def test_a_flushed_redis_is_filled_again(shared: Deployment, stack: Stack) -> None:
    """Flushed while posts go on: every feed is right again, each timeline rebuilt as it is read."""
    deployment = shared
    readers, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        for reader in readers:
            await feed_of(client, reader)
        posting = Posting(deployment, authors)
        await posting.until(100)
        RedisServers(stack).flush()
        await posting.until(100)
        early = [await feed_of(client, reader) for reader in readers[::2]]
        await posting.stop()
        await deployment.drained()
        feeds = {reader: await feed_of(client, reader) for reader in readers}

    assert all(len(feed) >= 100 for feed in early)
    assert feeds == dict.fromkeys(readers, posting.newest_first)


@pytest.mark.law("L8")
async def test_timelines_are_warmed_before_their_owners_read(shared: Deployment, stack: Stack) -> None:
    """After a loss `shutterline warm-timelines` rebuilds those of the latest readers; run again, none."""
    deployment = shared
    readers, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        posting = Posting(deployment, authors)
        await posting.until(100)
        await posting.stop()
        await deployment.drained()
        for reader in readers:
            await feed_of(client, reader)
        await recorded(deployment, readers)
        RedisServers(stack).flush()
        warmed = await warm_timelines(deployment)
        again = await warm_timelines(deployment)
        rebuilt = deployment.metric("shutterline_rebuilds_total", "api")
        feeds = {reader: await feed_of(client, reader) for reader in readers}

    assert feeds == dict.fromkeys(readers, posting.newest_first)
    assert deployment.metric("shutterline_rebuilds_total", "api") == rebuilt
    assert not warmed.startswith("0 timelines")
    assert again.startswith("0 timelines")


async def recorded(deployment: Deployment, readers: Collection[UserId]) -> None:
    """Wait until the API has recorded that these have read their feeds."""
    hour = int(time.time()) // HOUR_S
    async with connect(deployment.settings, timeout_ms=2_000) as stores:

        async def all_are() -> bool:
            return set(readers) <= {*await latest_readers(stores.active_readers, [hour, hour - 1], 10_000)}

        await eventually("the readers are recorded", all_are)


async def warm_timelines(deployment: Deployment) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shutterline", "warm-timelines"),
        env={**os.environ, **deployment.environment, "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.law("L2")
@pytest.mark.law("L8")
async def test_an_acknowledged_unfollow_survives_an_older_redis(
    shared: Deployment, stack: Stack, tmp_path: Path
) -> None:
    """Law: no ghost. Copies of the old following set come back with the snapshot and are not believed."""
    deployment = shared
    servers = RedisServers(stack)
    [photo] = fresh_photo_ids(1)
    reader, author = fresh_users(2)
    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author)]))
        await deployment.publish([upload(deployment, photo, author)])
        await deployment.drained()
        assert [photo] == await feed_of(client, reader)
        await asyncio.to_thread(servers.copy, tmp_path)
        assert 204 == await call(client, "DELETE", f"/v1/social/follow/{author}", reader)
        await asyncio.to_thread(servers.roll_back, tmp_path)

        assert [] == (await client.walk(reader, depth=20)).ids
