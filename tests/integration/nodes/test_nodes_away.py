"""Any one server or process of several is killed or hangs under load, and comes back."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from bench.traffic.outage import outage
from bench.traffic.requests import NO_ANSWER
from bench.traffic.servers import cassandra_node, leader, primary
from infra.local.deployment import Deployment
from infra.local.servers.server import Server
from infra.local.stack import Stack
from tests.integration.conftest import deployments
from tests.integration.test_outages import assert_answered

# A replica of Redis takes over after 4 to 9 s.
AWAY_S = 10.0
SECOND_WORKER = "worker-2"


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """With two workers."""
    with deployments(stack) as make:
        made = make()
        made.start_all()
        made.start_worker(SECOND_WORKER)
        yield made


@pytest.mark.law("L7")
@pytest.mark.parametrize("chosen", [leader, cassandra_node, primary])
@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_server_that_is_killed_and_comes_back_loses_nothing(
    deployment: Deployment, chosen: Callable[[Deployment], Server], time: str
) -> None:
    """Twice: what took over is killed next, and what came back takes over again, in Kafka and Redis."""
    killed = chosen(deployment)

    reading = await outage(deployment, killed.kill, deployment.stack.start_servers, outage_s=AWAY_S)

    assert_answered(reading)


@pytest.mark.law("L7")
@pytest.mark.parametrize("chosen", [leader, cassandra_node, primary])
async def test_a_server_that_hangs_for_a_time_loses_nothing(
    deployment: Deployment, chosen: Callable[[Deployment], Server]
) -> None:
    hanging = chosen(deployment)

    reading = await outage(deployment, hanging.pause, hanging.resume, outage_s=AWAY_S)

    assert_answered(reading)


@pytest.mark.law("L7")
@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_worker_that_is_killed_and_comes_back_loses_nothing(
    deployment: Deployment, time: str
) -> None:
    worker = deployment.stack.process(f"{deployment.namespace}{SECOND_WORKER}")

    reading = await outage(deployment, worker.kill, partial(deployment.start_worker, SECOND_WORKER))

    assert_answered(reading)


@pytest.mark.law("L7")
@pytest.mark.parametrize("time", ["first", "second"])
async def test_an_api_that_is_killed_and_comes_back_loses_nothing(deployment: Deployment, time: str) -> None:
    """Nobody answers meanwhile."""
    api = deployment.stack.process(f"{deployment.namespace}api")

    reading = await outage(deployment, api.kill, deployment.start_api)

    answers = [answer for answer in reading.answers if answer[0] != NO_ANSWER]
    assert 0 < len(answers) < len(reading.answers)
    reading.answers = answers
    assert_answered(reading)
