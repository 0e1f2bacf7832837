"""A store that is stopped or slow costs nobody an answer, and nothing is lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import UserId
from streams.jobs.feed_client import FeedClient, feed_path
from tests.integration.conftest import DeploymentFactory
from tests.integration.slow_proxy import SlowProxy
from tests.integration.test_feeds import client_of, feed_of
from tests.integration.test_redis_lost import Posting, everybody_follows_everybody

pytestmark = pytest.mark.anyio

OUTAGE_S = 6.0
DEADLINE_S = 2.0  # settings.request_deadline_ms
# Two busy cores run all servers, the load and this test.
SLACK_S = 1.5
SLOW_S = 2.0


@dataclass(slots=True)
class Reading:
    """Readers who ask all the time; what they were answered, and after how many seconds."""

    client: FeedClient
    answers: list[tuple[int, str, float]] = field(default_factory=list)
    going: bool = True

    async def run(self, reader: UserId) -> None:
        headers = {"Authorization": f"Bearer {self.client.token_of(reader)}"}
        while self.going:
            began = time.monotonic()
            async with self.client.http.get(f"{self.client.api}{feed_path(20)}", headers=headers) as answer:
                body = await answer.json(content_type=None)
                assert answer.status == 200 or "Retry-After" in answer.headers
            self.answers.append((answer.status, body.get("completeness", ""), time.monotonic() - began))
            await asyncio.sleep(0.05)


async def outage(
    deployment: Deployment, begin: Callable[[], None], end: Callable[[], None], *, outage_s: float = OUTAGE_S
) -> Reading:
    """Read and post through an outage; afterwards every feed is whole."""
    everybody, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        for reader in everybody[::2]:
            await feed_of(client, reader)
        posting, reading = Posting(deployment, authors), Reading(client)
        readers = [asyncio.create_task(reading.run(reader)) for reader in everybody[:4]]
        await posting.until(50)
        begin()
        await asyncio.sleep(outage_s)
        end()
        await posting.until(50)
        await posting.stop()
        reading.going = False
        await asyncio.gather(*readers)
        await deployment.drained(240)
        for reader in everybody:
            assert posting.newest_first == await feed_of(client, reader), reader
    return reading


def assert_answered(reading: Reading) -> None:
    """Every request within its deadline, with 200 or 503."""
    assert {status for status, _, _ in reading.answers} <= {200, 503}
    assert [] == [answer for answer in reading.answers if answer[2] > DEADLINE_S + SLACK_S]


@pytest.mark.parametrize("store", ["redis", "cassandra", "kafka", "s3"])
async def test_a_stopped_store_loses_nothing(shared: Deployment, stack: Stack, store: str) -> None:
    """The server hangs (SIGSTOP): its connections stay open and nothing is answered."""
    server = stack.server(store)

    reading = await outage(shared, server.pause, server.resume)

    assert_answered(reading)
    if store in ("redis", "kafka", "s3"):
        # A feed needs one of Redis and Cassandra, and neither of the others.
        assert any(status == 200 for status, _, _ in reading.answers)


@pytest.mark.parametrize("store", ["redis", "cassandra"])
async def test_a_slow_store_loses_nothing(deploy: DeploymentFactory, stack: Stack, store: str) -> None:
    """Each answer of the store takes two seconds."""
    with SlowProxy(stack.server(store).port) as proxy:
        address = f"127.0.0.1:{proxy.port}"
        deployment = deploy(**{store: f"redis://{address}/0" if store == "redis" else address})
        deployment.start_all()

        def slow() -> None:
            proxy.delay_s = SLOW_S

        def quick() -> None:
            proxy.delay_s = 0.0

        reading = await outage(deployment, slow, quick)

    assert_answered(reading)


async def test_a_process_that_starts_before_cassandra_waits_for_it(
    stack: Stack, deploy: DeploymentFactory
) -> None:
    """However often it has tried; it says so, and is ready soon after."""
    deployment, server = deploy(), stack.server("cassandra")
    server.stop()
    try:
        starting = asyncio.create_task(asyncio.to_thread(deployment.start_api))
        api = stack.process(f"{deployment.namespace}api")
        async with asyncio.timeout(60):
            # Its second try is the one that matters: the first has used the first cluster up.
            while api.log_tail().count("Retrying") < 2:
                assert not starting.done(), starting.result()
                await asyncio.sleep(0.1)
    finally:
        server.start()
        await asyncio.to_thread(server.wait_ready)

    await starting
