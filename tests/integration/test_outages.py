"""While a store is stopped or slow, every request gets a response in time, and no event is lost."""

import asyncio

import pytest

from bench.traffic.outage import DEADLINE_S, SLOW_S, Reading, outage
from bench.traffic.slow_proxy import SlowProxy
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from tests.integration.conftest import DeploymentFactory

# Two busy cores run all servers, the load and this test.
SLACK_S = 1.5


def assert_answered(reading: Reading) -> None:
    """Check that every request got 200 or 503 within its deadline."""
    assert {status for status, _, _ in reading.answers} <= {200, 503}
    assert [] == [answer for answer in reading.answers if answer[2] > DEADLINE_S + SLACK_S]


@pytest.mark.law("L7")
@pytest.mark.parametrize("store", ["redis", "cassandra", "kafka", "s3"])
async def test_a_stopped_store_loses_nothing(shared: Deployment, stack: Stack, store: str) -> None:
    """The server hangs (SIGSTOP): its connections stay open and nothing is answered."""
    server = stack.server(store)

    reading = await outage(shared, server.pause, server.resume)

    assert_answered(reading)
    if store in ("redis", "kafka", "s3"):
        # A feed page needs Redis or Cassandra, and neither Kafka nor S3, so at least some requests
        # succeed.
        assert any(status == 200 for status, _, _ in reading.answers)


@pytest.mark.law("L7")
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
    """The API retries and logs each retry. Once Cassandra has started, the API becomes ready."""
    deployment, server = deploy(), stack.server("cassandra")
    server.stop()
    try:
        starting = asyncio.create_task(asyncio.to_thread(deployment.start_api))
        api = stack.process(f"{deployment.namespace}api")
        async with asyncio.timeout(60):
            # The test waits for the second retry: a driver's cluster can be used for one attempt
            # only, so each retry must create a new one.
            while api.log_tail().count("still starting") < 2:
                assert not starting.done(), starting.result()
                await asyncio.sleep(0.1)
    finally:
        server.start()
        await asyncio.to_thread(server.wait_ready)

    await starting
