"""Reading a stretch of `fanout` again: exactly its records, and a client that is closed whatever happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.errors import StoreUnavailable
from streams.kafka.stages.fanout_log import FanoutLog
from streams.settings import KafkaSettings

PARTITION = TopicPartition("fanout", 3)


def message(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic=PARTITION.topic,
        partition=PARTITION.partition,
        offset=offset,
        timestamp=1_800_000_000_000,
        timestamp_type=0,
        key=None,
        value=str(offset).encode(),
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=1,
        headers=(),
    )


@dataclass
class Consumer:
    """A client of a log that holds `offsets`; `error` is what its reads raise."""

    offsets: Sequence[int]
    error: KafkaError | None = None
    at: int = 0
    is_open: bool = False

    async def start(self) -> None:
        self.is_open = True

    async def stop(self) -> None:
        self.is_open = False

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        assert [PARTITION] == partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at = offset

    async def getmany(
        self, partition: TopicPartition, *, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        if self.error is not None:
            raise self.error
        fetched = [offset for offset in self.offsets if offset >= self.at][:max_records]
        self.at = fetched[-1] + 1 if fetched else self.at + 1
        return {partition: [message(offset) for offset in fetched]} if fetched else {}

    async def position(self, partition: TopicPartition) -> int:
        return self.at


def log_of(consumer: Consumer) -> FanoutLog:
    return FanoutLog(
        KafkaSettings(),
        topic=PARTITION.topic,
        batch_records_max=4,
        new_consumer=lambda **_: cast("AIOKafkaConsumer", consumer),
    )


async def offsets_read(consumer: Consumer, begin: int, end: int) -> list[int]:
    batches: Any = log_of(consumer).read(PARTITION.partition, begin, end)
    return [record.offset async for batch in batches for record in batch]


@pytest.mark.parametrize(("begin", "end"), [(2, 5), (2, 6), (2, 9), (0, 1), (4, 4)])
async def test_exactly_the_records_of_the_stretch_are_read(begin: int, end: int) -> None:
    """The lane applies the record at `end` with its next batch; it must not be applied before its turn."""
    consumer = Consumer(range(12))

    assert list(range(begin, end)) == await offsets_read(consumer, begin, end)
    assert not consumer.is_open


async def test_offsets_without_a_record_are_passed() -> None:
    """Transactions leave offsets that no record has; a read that waited for them would never return."""
    assert [1, 6] == await offsets_read(Consumer([1, 6, 7]), 0, 7)
    assert [1] == await offsets_read(Consumer([1]), 0, 3)


async def test_a_log_that_has_lost_the_beginning_is_an_outage() -> None:
    """The caller reads the log's start again before it retries; the client is closed."""
    consumer = Consumer(range(12), OffsetOutOfRangeError())
    with pytest.raises(StoreUnavailable, match="repair"):
        await offsets_read(consumer, 0, 5)

    assert not consumer.is_open
