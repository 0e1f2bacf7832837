"""Too much work defers posts: readers have them at once, and all are in the timelines at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from bench.measuring.giant import materialise_all
from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient
from streams.core import ring
from streams.kafka.clients import librdkafka_consumer
from streams.roles import EVENT_ROLES, Role
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory
from topics.catalogue import OPERATIONS

BREAKER_OPEN, BREAKER_CLOSED = 3_000, 200
FOLLOWERS = 800
# Of what another process does; each has its own.
DEADLINE_S = 60.0


class Readers:
    """Some readers who read all the time. No page may show a photo twice or lose one that it has shown."""

    def __init__(self, client: FeedClient, readers: Sequence[UserId]) -> None:
        self._client = client
        self._readers = readers
        self.pages = 0
        self.wrong: list[str] = []
        self._shown: dict[UserId, set[PhotoId]] = {reader: set() for reader in readers}
        self._task = asyncio.create_task(self._read())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            for reader in self._readers:
                ids = await feed_of(self._client, reader)
                self.pages += 1
                if len(set(ids)) < len(ids) or ids != sorted(ids, reverse=True):
                    self.wrong.append(f"{reader} saw {ids}")
                if lost := self._shown[reader] - set(ids):
                    self.wrong.append(f"{reader} lost {lost}")
                self._shown[reader] |= set(ids)


async def has(client: FeedClient, reader: UserId, photos: Sequence[PhotoId]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        page = await client.page(reader, limit=100)
        return set(photos) <= {PhotoId(int(item["photo_id"])) for item in page.items}

    return check


@asynccontextmanager
async def crowd(deployment: Deployment, authors: Sequence[UserId], followers: Sequence[UserId]) -> Any:
    """All follow all authors, and all have timelines."""
    edges = [(follower, author) for author in authors for follower in followers]
    await deployment.publish(follows(deployment, edges))
    await deployment.drained()
    async with connect(deployment.settings, timeout_ms=20_000) as stores:
        await materialise_all(stores, followers)
        yield stores


def switch_moves(deployment: Deployment) -> list[tuple[str, bool]]:
    """What the topic `operations` says, in order and without repetitions."""
    consumer = Consumer(
        {**librdkafka_consumer(deployment.settings, "test-operations"), "enable.partition.eof": True}
    )
    try:
        consumer.assign([TopicPartition(OPERATIONS.named(deployment.namespace), 0, 0)])
        moves: dict[tuple[str, int], bool] = {}
        while (message := consumer.poll(10.0)) is not None and message.error() is None:
            said = orjson.loads(message.value())
            moves.setdefault((said["switch"], said["version"]), said["is_on"])
        return [(switch, is_on) for (switch, _), is_on in moves.items()]
    finally:
        consumer.close()


async def stored(stores: Any, owners: Sequence[UserId]) -> list[set[int]]:
    values = [await stores.timelines.read(owner) for owner in owners]
    return [set(ring.parse(value).ids) - {0} for value in values]


@pytest.mark.law("L15")
async def test_the_breaker_opens_and_closes_and_nobody_notices(deploy: DeploymentFactory) -> None:
    """A backlog of six posts opens it, later posts are visible at once, and all is settled in the end."""
    deployment = deploy(
        breaker_open_deliveries=BREAKER_OPEN,
        breaker_close_deliveries=BREAKER_CLOSED,
        deferred_after_applied_s=1,
    )
    lanes = [Role.NORMAL, Role.BULK]
    deployment.start_all({"worker-1": [Role.CHECK, Role.EDGES], "worker-2": lanes})
    [author, other], followers = fresh_users(2), fresh_users(FOLLOWERS)
    async with crowd(deployment, [author, other], followers) as stores, client_of(deployment) as client:
        readers = Readers(client, followers[:5])
        deployment.stack.stop_process(f"{deployment.namespace}worker-2")
        queued = fresh_photo_ids(6)
        await deployment.publish(upload(deployment, photo, author) for photo in queued)
        await eventually("the breaker is open", lambda: is_on(deployment, "breaker"), DEADLINE_S)

        deferred = fresh_photo_ids(20)
        await deployment.publish(upload(deployment, photo, other) for photo in deferred)
        for reader in followers[-3:]:
            await eventually("deferred posts are seen", await has(client, reader, deferred), DEADLINE_S)
        assert not any(set(deferred) & ids for ids in await stored(stores, followers[:20]))

        deployment.start_worker("worker-2", lanes)
        await deployment.drained()
        await eventually("nothing is deferred", lambda: nothing_deferred(stores), DEADLINE_S)
        await readers.stop()

        expected = {*queued, *deferred}
        assert all(ids == expected for ids in await stored(stores, followers))
        assert await feed_of(client, followers[0]) == sorted(expected, reverse=True)
    assert readers.wrong == []
    assert readers.pages > len(followers[:5])
    assert switch_moves(deployment) == [("breaker", True), ("breaker", False)]


@pytest.mark.law("L15")
async def test_a_giants_post_is_seen_at_once_and_pushed_evenly_through_a_kill(
    deploy: DeploymentFactory,
) -> None:
    """8,000 followers at 1,000 a second take eight seconds; all workers are killed meanwhile."""
    deployment = deploy(
        pull_followers_min=1_000,
        push_again_followers_max=900,
        celebrity_push_followers_max=100_000,
        post_deliveries_per_s=1_000,
        deferred_after_applied_s=1,
    )
    deployment.start_all({"worker-1": EVENT_ROLES, "worker-2": EVENT_ROLES})
    [giant], followers = fresh_users(1), fresh_users(8_000)
    async with crowd(deployment, [giant], followers) as stores, client_of(deployment) as client:
        readers = Readers(client, followers[:5])
        before = deliveries(deployment, 1, 2)
        [photo] = fresh_photo_ids(1)
        await deployment.publish([upload(deployment, photo, giant)])
        for reader in followers[-3:]:
            took_s = await eventually("the post is seen", await has(client, reader, [photo]), DEADLINE_S)
        assert (await client.page(followers[-1], limit=20)).completeness == "complete"
        await eventually(
            "some have it in their timelines",
            lambda: deliveries(deployment, 1, 2) > before + 1_500,
            DEADLINE_S,
        )
        pushed = sum(photo in ids for ids in await stored(stores, followers))
        for number in (1, 2):
            deployment.stack.process(f"{deployment.namespace}worker-{number}").kill()
        assert 0 < pushed < len(followers)
        assert took_s < DEADLINE_S

        deployment.start_worker("worker-3")
        await deployment.drained()
        await eventually("nothing is deferred", lambda: nothing_deferred(stores), DEADLINE_S)
        await readers.stop()
        values = [await stores.timelines.read(owner) for owner in followers]
        assert [list(ring.parse(value).ids).count(photo) for value in values] == [1] * len(followers)
    assert readers.wrong == []


@pytest.mark.law("L15")
async def test_shedding_defers_posts_of_small_authors_alone(deploy: DeploymentFactory) -> None:
    """Ten records wait; an author with two followers is seen at once, one with twelve waits his turn."""
    # Otherwise the posts that wait for longer than 5 s would be deferred for that.
    deployment = deploy(
        shed_lag_records=8, shed_end_lag_records=3, deferred_after_applied_s=1, push_s_max=600
    )
    lanes = [Role.NORMAL, Role.BULK]
    deployment.start_all({"worker-1": [Role.CHECK, Role.EDGES], "worker-2": lanes})
    small, large, *crowded = fresh_users(12)
    followers = fresh_users(12)
    async with crowd(deployment, [large, *crowded], followers) as stores, client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, small) for reader in followers[:2]]))
        await deployment.drained()
        # The backfills of the network may have been more records than the limit.
        await eventually("no shedding", lambda: not is_on(deployment, "shedding"), DEADLINE_S)
        await eventually("its end is announced", lambda: len(switch_moves(deployment)) % 2 == 0, DEADLINE_S)
        before_stop = len(switch_moves(deployment))
        deployment.stack.stop_process(f"{deployment.namespace}worker-2")
        queued = []
        for author in crowded:  # One after the other, so that each has a record of its own.
            queued += fresh_photo_ids(1)
            await deployment.publish([upload(deployment, queued[-1], author)])
            await check_drained(deployment)
        await eventually("shedding", lambda: is_on(deployment, "shedding"), DEADLINE_S)
        before = decisions(deployment)
        photo_of_small, photo_of_large = fresh_photo_ids(2)
        await deployment.publish(
            [upload(deployment, photo_of_small, small), upload(deployment, photo_of_large, large)]
        )
        await eventually(
            "the small author is seen", await has(client, followers[0], [photo_of_small]), DEADLINE_S
        )
        assert decisions(deployment) == before + 1

        deployment.start_worker("worker-2", lanes)
        await deployment.drained()
        await eventually("nothing is deferred", lambda: nothing_deferred(stores), DEADLINE_S)
        everybodys = {*queued, photo_of_large}
        assert await stored(stores, followers) == [{*everybodys, photo_of_small}] * 2 + [everybodys] * 10
    assert switch_moves(deployment)[before_stop:] == [("shedding", True), ("shedding", False)]


def is_on(deployment: Deployment, switch: str) -> bool:
    return deployment.metric(f'shutterline_overload_switch{{switch="{switch}"}}') == 1


def decisions(deployment: Deployment) -> float:
    return deployment.metric('shutterline_delivery_decisions_total{mode="pull",reason="shed"}')


def deliveries(deployment: Deployment, *workers: int) -> float:
    name = "shutterline_deliveries_total"
    return sum(deployment.metric(name, f"worker-{number}") for number in workers)


async def check_drained(deployment: Deployment) -> None:
    group = f"{deployment.namespace}check"

    async def is_drained() -> bool:
        return (await deployment.lag())[group] == 0

    await eventually("the check stage has nothing to do", is_drained, DEADLINE_S)


async def nothing_deferred(stores: Any) -> bool:
    """Whether no post is left; its period is forgotten some seconds later."""
    return not any([await stores.deferred.of_period(period) for period in await stores.deferred.periods()])
