"""If a running broker refuses requests, this is an outage: the API is not ready and consumers wait."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from bench.refusing.kafka import (
    RefusingKafka,
    denied,
    environment_of,
    no_permission_to_write,
    second_broker,
)
from bench.traffic.events import follows, fresh_users
from bench.traffic.waiting import eventually, wait_until
from infra.local.deployment import Deployment
from infra.local.stack import Stack

# Below the time after which the watchdog ends a worker that does not go on (watchdog_s, 60 s).
GOES_ON_S_MAX = 30.0


@pytest.fixture(scope="module")
def broker(stack: Stack) -> Iterator[RefusingKafka]:
    with second_broker(stack) as server:
        yield server


@pytest.fixture
def deployment(stack: Stack, broker: RefusingKafka) -> Iterator[Deployment]:
    made = Deployment(stack, f"t{uuid4().hex[:8]}.", environment_of(broker))
    made.prepare()
    yield made
    made.stop()


async def test_readyz_sees_that_kafka_refuses_writes(deployment: Deployment, broker: RefusingKafka) -> None:
    """The broker responds, all partitions have leaders, and offsets can be read; only writes fail."""
    deployment.start_api()
    async with httpx.AsyncClient(base_url=deployment.settings.api) as client:

        async def ready() -> bool:
            response = await client.get("/readyz")
            assert response.status_code == 200 or response.json()["detail"] == "No answer from kafka."
            return response.status_code == 200

        async def unready() -> bool:
            return not await ready()

        assert await ready()
        with no_permission_to_write(broker):
            await eventually("the API is not ready", unready)
        await eventually("the API is ready", ready)


async def test_a_consumer_that_was_refused_goes_on(deployment: Deployment, broker: RefusingKafka) -> None:
    """Fetches, commits and the group are refused for a while. Faust would end its thread at the first."""
    worker = deployment.start_worker()
    pid = worker.pid
    followers = fresh_users(50)
    await deployment.publish(follows(deployment, [(follower, followers[0]) for follower in followers[1:]]))
    for resource in (ResourceType.TOPIC, ResourceType.GROUP):
        sample = f'error="{resource.name.title()}AuthorizationFailedError",store="kafka"'
        with denied(broker, AclOperation.ALL, resource):
            wait_until(
                f"the worker counts {sample}",
                lambda sample=sample: deployment.metric(  # type: ignore[misc]
                    f"shutterline_store_errors_total{{{sample}}}"
                ),
            )
    await deployment.publish(follows(deployment, [(followers[0], follower) for follower in followers[1:]]))

    await deployment.drained(GOES_ON_S_MAX)
    assert worker.pid == pid
