"""aiokafka's own consumer over a log in memory, in place of a broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.record.default_records import DefaultRecordBatch

POLL_S = 0.001


@dataclass
class Log:
    """The client of the fetcher. `batches` are those of each partition, in order."""

    batches: dict[TopicPartition, list[bytes]]
    asked: list[TopicPartition] = field(default_factory=list)  # By each request for records.
    cluster: Any = field(init=False)
    _metadata_max_age_ms: int = 300_000

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.cluster = SimpleNamespace(leader_for_partition=lambda partition: 0)

    async def send(self, _node: int, request: Any) -> Any:
        """Return what is after the offsets of the request; as a broker, wait a little if that is nothing.

        The partitions are in the order of `batches`, in which the fetcher passes them on, too.
        """
        offsets = {
            TopicPartition(topic, number): offset
            for topic, asked in request.topics
            for number, offset, _ in asked
        }
        self.asked += offsets
        fetched = {
            partition: self._after(partition, offsets[partition])
            for partition in self.batches
            if partition in offsets
        }
        await asyncio.sleep(0 if any(fetched.values()) else POLL_S)
        topics: list[Any] = [
            (partition.topic, [(partition.partition, 0, 0, 0, [], batches)])
            for partition, batches in fetched.items()
        ]
        return SimpleNamespace(API_VERSION=4, topics=topics)

    def _after(self, partition: TopicPartition, offset: int) -> bytes:
        return b"".join(
            batch for batch in self.batches[partition] if DefaultRecordBatch(batch).next_offset > offset
        )

    async def consume(self, consumer: AIOKafkaConsumer) -> None:
        """Let the consumer, which is not started, read all partitions from their begin."""
        consumer._client = self
        consumer._coordinator = SimpleNamespace(check_errors=lambda: None)
        consumer._fetcher = Fetcher(self, consumer._subscription, isolation_level="read_committed")
        if consumer._subscription.subscription is None:
            consumer._subscription.assign_from_user(list(self.batches))
        for partition in self.batches:
            consumer.seek(partition, 0)


def values(records: Sequence[Any]) -> list[bytes]:
    """Return the values of the records."""
    return [record.value for record in records]
