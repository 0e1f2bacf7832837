"""Publishers may use Kafka transactions: what is aborted has no effect, and no gap is taken for work."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.facts import PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.queued import Span
from streams.kafka.producing.producer import Outgoing
from streams.ports.groups import Stores
from streams.roles import Role, group_of
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory
from topics.catalogue import FOLLOWS, LIKES

AUTHOR = UserId(1)
TIMEOUT_S = 30.0


@pytest.fixture
def deployment(deploy: DeploymentFactory) -> Deployment:
    return deploy(watchdog_s=1)


@pytest.fixture
async def stores(deployment: Deployment) -> AsyncIterator[Stores]:
    async with connect(deployment.settings, timeout_ms=5_000) as connected:
        yield connected


@contextmanager
def transaction(deployment: Deployment, records: list[Outgoing]) -> Iterator[Producer]:
    """An open transaction that has written `records`; the test ends it."""
    producer = Producer(
        {"bootstrap.servers": deployment.settings.kafka, "transactional.id": uuid4().hex, "log_level": 3}
    )
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for record in records:
        producer.produce(
            record.topic, record.value, record.key, record.partition, headers=list(record.headers)
        )
    producer.flush(TIMEOUT_S)
    yield producer


async def aborted(deployment: Deployment, records: list[Outgoing]) -> None:
    with transaction(deployment, records) as producer:
        producer.abort_transaction(TIMEOUT_S)
    await markers_written(deployment, records)


async def committed(deployment: Deployment, records: list[Outgoing]) -> None:
    with transaction(deployment, records) as producer:
        producer.commit_transaction(TIMEOUT_S)
    await markers_written(deployment, records)


async def markers_written(deployment: Deployment, records: list[Outgoing]) -> None:
    """Wait for the records that end a transaction: the broker writes them after it has responded."""
    logs = {(record.topic, record.partition or 0) for record in records}

    async def nothing_is_held_back() -> bool:
        return not any((await Offsets(deployment.settings).held_back(logs)).values())

    await eventually("the markers are written", nothing_is_held_back)


def follow(deployment: Deployment, follower: int, partition: int = 0) -> Outgoing:
    return deployment.outgoing(
        UserFollowed(follower_id=UserId(follower), followee_id=AUTHOR), partition=partition
    )


async def followers(stores: Stores) -> int:
    return (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR].total


async def test_an_aborted_event_has_no_effect(deployment: Deployment, stores: Stores) -> None:
    """A committed one has its effect, also behind an aborted one, and nothing is left waiting."""
    deployment.start_worker()
    await aborted(deployment, [follow(deployment, 11)])
    await committed(deployment, [follow(deployment, 12)])
    await aborted(deployment, [follow(deployment, 13)])
    await deployment.drained()

    assert 1 == await followers(stores)
    assert {} == await stores.outgoing_edges.following(UserId(11))


async def test_an_open_transaction_is_waited_for_and_said(deployment: Deployment, stores: Stores) -> None:
    """It holds back what was published after it, too. No worker ends, and the metric has the number."""
    worker = deployment.start_worker()
    name = FOLLOWS.named(deployment.namespace)
    held = f'shutterline_held_back_records{{partition="0",topic="{name}"}}'
    with transaction(deployment, [follow(deployment, 11), follow(deployment, 12)]) as producer:
        await deployment.publish([follow(deployment, 13)])

        async def is_said() -> bool:
            return deployment.metric(held) == 3.0

        await eventually("the metric says what is held back", is_said)
        assert 0 == await followers(stores)
        assert {(name, 0): 3} == await Offsets(deployment.settings).held_back([(name, 0)])
        producer.commit_transaction(TIMEOUT_S)
    await markers_written(deployment, [follow(deployment, 13)])
    await deployment.drained()

    assert 3 == await followers(stores)
    assert worker.pid is not None


async def test_a_quiet_partition_behind_a_transaction_ends_no_worker(deployment: Deployment) -> None:
    """No consumer gets a control record, so its offset is not work, in a first process or the next."""
    name, group = FOLLOWS.named(deployment.namespace), group_of(deployment.namespace, Role.CHECK)
    position = f'shutterline_consumer_position{{group="{group}",partition="0",topic="{name}"}}'
    for number in (1, 2):
        worker = deployment.start_worker()
        await committed(deployment, [follow(deployment, number)])
        await aborted(deployment, [follow(deployment, number)])
        end = (await Offsets(deployment.settings).ends([(name, 0)]))[name, 0]
        assert 4 * number == end  # Two records, each with the marker that ends its transaction.

        async def is_past_the_markers(end: int = end) -> bool:
            return deployment.metric(position) == end

        await eventually("the watchdog finds no record before the end", is_past_the_markers)
        await deployment.drained()
        assert worker.pid is not None
        deployment.stop()


async def test_offsets_without_records_are_skipped_on_a_real_log(deployment: Deployment) -> None:
    """An aborted record and its marker are two offsets; the third is a record."""
    offsets, name = Offsets(deployment.settings), LIKES.named(deployment.namespace)
    like = deployment.outgoing(PhotoLiked(photo_id=PhotoId(9), user_id=UserId(1)), partition=0)
    await aborted(deployment, [like])
    assert {(name, 0): 2} == await offsets.ends([(name, 0)])
    group = group_of(deployment.namespace, Role.CHECK)
    skipped = [await offsets.skip_gaps(group, name, {0: Span(0, 2)}) for _ in range(2)]
    await deployment.publish([like])

    assert [{0: 0}, {0: 2}] == skipped
    assert [{0: 2}] * 2 == [await offsets.skip_gaps(group, name, {0: Span(0, 3)}) for _ in range(2)]
