"""Topics grow under load, and every feed and count is right afterwards."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from typer.testing import CliRunner

from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from bench.traffic.requests import Requests
from bench.traffic.writing import Writing
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.facts import UserUnfollowed
from shutterline import app as command_line
from streams.kafka.producing.producer import Producer
from tests.integration.conftest import DeploymentFactory
from topics.catalogue import EDGES, FANOUT, OUTSIDE
from topics.sizes import SIZES, Profile

SMALL = SIZES[Profile.SMALL]
AS_SMALL = {"SHUTTERLINE_SIZES": Profile.SMALL.value, "SHUTTERLINE_EDGES_GENERATION": "2"}


async def topics(deployment: Deployment, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run `shutterline topics` in a thread of this process; returns its exit code and what it said."""
    result = await asyncio.to_thread(
        CliRunner().invoke,
        command_line.app,
        ["topics", *arguments],
        env={**deployment.environment, "COLUMNS": "500", **environment},
    )
    return result.exit_code, result.output


async def grow_upstream(deployment: Deployment, environment: Mapping[str, str]) -> None:
    for topic in OUTSIDE:
        grow = ("grow", topic.name, str(SMALL.partitions(topic)))
        _, said = await topics(deployment, *grow, **environment)
        assert "has 6 partitions, and would have 12. Repeat with --execute." in said
        code, said = await topics(deployment, *grow, "--execute", **environment)
        assert (code, "had 6 partitions and has 12" in said) == (0, True), said


@pytest.fixture
async def larger(deploy: DeploymentFactory, stack: Stack) -> AsyncIterator[tuple[Deployment, Deployment]]:
    """A deployment, and the same one with the next profile; nothing runs."""
    deployment = deploy()
    api = {"SHUTTERLINE_API": deployment.environment["SHUTTERLINE_API"]}
    larger = Deployment(stack, deployment.namespace, {**api, **AS_SMALL})
    yield deployment, larger
    larger.stop()


async def test_upstream_topics_grow_while_everything_runs(deploy: DeploymentFactory) -> None:
    """Events go to the new partitions at once; they are handled when the workers are new."""
    deployment = deploy()
    deployment.start_all()
    readers, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        posting = Posting(deployment, authors)
        await posting.until(20)
        writing = Writing(Requests(client), posting)
        await grow_upstream(deployment, {})
        await posting.until(20)
        await posting.stop()
        async with Producer(deployment.settings, timeout_ms=10_000) as producer:
            deployment.sizes = await producer.compare_sizes()
        later = Posting(deployment, authors)  # Its producer knows the new partitions.
        await later.until(50)
        deployment.stop()
        deployment.start_all()
        await later.until(50)
        await writing.stop()
        await later.stop()
        await deployment.drained()
        await writing.check()
        feeds = {reader: await feed_of(client, reader) for reader in readers}

    assert [12, 12, 12] == [deployment.sizes.partitions(topic) for topic in OUTSIDE]
    assert feeds == dict.fromkeys(readers, sorted(posting.photos + later.photos, reverse=True))


async def test_a_system_moves_to_a_larger_profile(larger: tuple[Deployment, Deployment]) -> None:
    """While events are published. Nothing is deleted before all is handled; no timeline is rebuilt."""
    deployment, after = larger
    deployment.start_all()
    readers, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        for reader in readers:
            await feed_of(client, reader)
        posting = Posting(deployment, authors)
        await posting.until(20)
        writing = Writing(Requests(client), posting)
        await posting.until(20)
        await writing.stop()
        await grow_upstream(deployment, AS_SMALL)

        in_use = await topics(deployment, "renew", "--execute", **AS_SMALL)
        await posting.stop()
        await deployment.drained()
        dry = await topics(deployment, "renew", **AS_SMALL)
        deployment.stop()
        later = Posting(deployment, authors)
        await later.until(20)
        renewed = await topics(deployment, "renew", "--execute", **AS_SMALL)
        after.start_all()
        await later.until(20)
        gone = UserUnfollowed(follower_id=readers[0], followee_id=authors[0])
        await after.publish([after.outgoing(gone)])
        rest = Writing(Requests(client), later)
        await later.until(20)
        await rest.stop()
        await later.stop()
        await after.drained()

        await writing.check()
        await rest.check()
        # Counted in the former generation, and once more in the new one.
        author = await client.settled(f"/v1/users/{authors[0]}", authors[0])
        feeds = {reader: await feed_of(client, reader) for reader in readers[1:]}

    assert author["followers"] == len(readers) - 1
    assert in_use[0] == 1
    assert "have members: stop their workers" in in_use[1]
    assert (dry[0], renewed[0]) == (0, 0), (dry, renewed)
    assert 'from the profile "local" to "small"' in dry[1]
    assert after.sizes.partitions(EDGES) == 24
    assert after.sizes.partitions(FANOUT) == 16
    assert feeds == dict.fromkeys(readers[1:], sorted(posting.photos + later.photos, reverse=True))
    assert after.metric("shutterline_timeline_repairs_total") == 0
    assert after.metric("shutterline_rebuilds_total", "api") == 0
