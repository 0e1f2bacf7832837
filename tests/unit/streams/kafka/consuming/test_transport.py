"""A consumer whose commit or fetch the broker refuses goes on, and commits later."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from faust.types import TP
from prometheus_client import REGISTRY

from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.refusals import rejoin_after
from streams.kafka.consuming.transport import CommittedConsumer
from streams.settings import ConsumerSettings
from tests.worlds.kafka_batches import packed_batch, with_wrong_checksum
from tests.worlds.kafka_log import Log, values

LOG, OTHER = TP("t", 0), TP("t", 1)


class Broker:
    """The part of aiokafka's consumer that a thread commits with."""

    def __init__(self) -> None:
        self.refuses = True
        self.committed: dict[Any, int] = {}

    def assignment(self) -> set[Any]:
        return {LOG, OTHER}

    async def commit(self, offsets: Mapping[Any, int]) -> None:
        if self.refuses:
            raise TopicAuthorizationFailedError("t")
        self.committed.update(offsets)


def consumer_of(broker: Broker, tmp_path: Path) -> CommittedConsumer:
    settings = ConsumerSettings(kafka="a:1", run_dir=tmp_path, process="w")
    app = make_app(settings, "g", {"t": range(2)}, poll_records_max=3, buffer_records_max=15)
    consumer = cast(CommittedConsumer, app.consumer)
    thread = consumer._thread
    thread._consumer = broker
    thread.commit = thread._commit  # In this thread, so its own loop is not needed.
    thread.thread_loop.close()
    return consumer


def handle(consumer: CommittedConsumer, log: TP, end: int) -> None:
    consumer.handled_offsets.handled(log, consumer.handled_offsets.fetched(log, 0, end), end)


async def test_a_refused_commit_is_repeated_without_a_new_record(tmp_path: Path) -> None:
    """The thread does not crash, and the next round commits the offset although nothing was acknowledged."""
    broker = Broker()
    consumer = consumer_of(broker, tmp_path)
    handle(consumer, LOG, 3)

    assert not await consumer._commit(consumer._filter_committable_offsets([]))
    assert consumer._filter_committable_offsets([]) == {LOG: 3}
    broker.refuses = False
    assert await consumer._commit(consumer._filter_committable_offsets([]))
    assert consumer._filter_committable_offsets([]) == {}
    assert broker.committed == {LOG: 3}


async def test_an_offset_of_a_revoked_partition_is_forgotten(tmp_path: Path) -> None:
    """Another worker may have committed a later one when the partition comes back."""
    consumer = consumer_of(Broker(), tmp_path)
    handle(consumer, LOG, 3)
    handle(consumer, OTHER, 4)

    await consumer.on_partitions_revoked({LOG})

    assert consumer._filter_committable_offsets([]) == {OTHER: 4}


@pytest.mark.law("L7")
async def test_a_fetch_that_fails_for_one_partition_loses_no_record_of_another(tmp_path: Path) -> None:
    """aiokafka has moved the other's position when it raises, so a later commit would pass its records."""
    thread = consumer_of(Broker(), tmp_path)._thread
    client = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    log = Log(
        {
            TopicPartition(*LOG): [packed_batch([bytes([65 + index])], begin=index) for index in range(5)],
            TopicPartition(*OTHER): [with_wrong_checksum(packed_batch([b"c"]))],
        }
    )
    await log.consume(client)
    found: list[bytes] = []
    async with asyncio.timeout(10):
        while len(found) < 5:
            fetched = await thread._fetch_records(client, {LOG, OTHER}, timeout=0.05, max_records=10)
            found += values(fetched.get(TopicPartition(*LOG), ()))
            assert TopicPartition(*OTHER) not in fetched
    await client._fetcher.close()
    client._closed = True  # It was never started.

    assert found == [b"A", b"B", b"C", b"D", b"E"]


async def test_each_partition_is_fetched_from(tmp_path: Path) -> None:
    """However many records another one has."""
    thread = consumer_of(Broker(), tmp_path)._thread
    client = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    many = [packed_batch([b"%d" % index for index in range(20)])]
    log = Log({TopicPartition(*LOG): many, TopicPartition(*OTHER): [packed_batch([b"A"])]})
    await log.consume(client)
    counts: list[tuple[int, int]] = []
    async with asyncio.timeout(10):
        while sum(one for one, _ in counts) < 20:
            fetched = await thread._fetch_records(client, {LOG, OTHER}, timeout=0.05, max_records=2)
            counts.append(
                (len(fetched.get(TopicPartition(*LOG), ())), len(fetched.get(TopicPartition(*OTHER), ())))
            )
    await client._fetcher.close()
    client._closed = True  # It was never started.

    assert max(one for one, _ in counts) == 2
    assert sum(other for _, other in counts[:6]) == 1


async def test_nothing_is_fetched_in_a_rebalance(tmp_path: Path) -> None:
    """Faust stops the flow, and drops what arrives nevertheless."""
    consumer = consumer_of(Broker(), tmp_path)
    consumer.stop_flow()

    assert await consumer._thread._fetch_records(None, {LOG}, timeout=0.0, max_records=1) == {}


def test_only_a_refused_group_is_joined_again() -> None:
    """Its heartbeat has ended. After another error, a join would only disturb the group."""

    class Coordinator:
        joins = 0

        def request_rejoin(self) -> None:
            self.joins += 1

    class Client:
        _coordinator = Coordinator()

    rejoin_after(TopicAuthorizationFailedError("t"), Client())
    assert Client._coordinator.joins == 0
    rejoin_after(GroupAuthorizationFailedError("g"), Client())
    assert Client._coordinator.joins == 1


async def test_a_consumer_counts_its_rebalances(tmp_path: Path) -> None:
    """Faust calls it when aiokafka revokes and assigns; the first is its start."""
    consumer = consumer_of(Broker(), tmp_path)
    name, labels = "shutterline_consumer_rebalances_total", {"group": "g", "reason": "start"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    consumer.app.on_rebalance_start()

    await consumer.on_partitions_revoked(set())
    await consumer.on_partitions_assigned({LOG}, 1)

    assert before + 1 == REGISTRY.get_sample_value(name, labels)
