"""A consumer whose commit or fetch the broker refuses goes on, and commits later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from faust.types import TP

from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.refusals import rejoin_after
from streams.kafka.consuming.transport import CommittedConsumer
from streams.settings import ConsumerSettings

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
