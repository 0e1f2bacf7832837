"""An error of one partition costs no record, neither of it nor of another partition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from streams.kafka.consuming.partitions import PartitionConsumer
from tests.worlds.kafka_batches import packed_batch, with_wrong_checksum
from tests.worlds.kafka_log import Log, values

BAD, GOOD = TopicPartition("t", 0), TopicPartition("t", 1)
DEADLINE_S = 10
RETRY_S = 0.02


@asynccontextmanager
async def consumer_of(log: Log) -> AsyncIterator[PartitionConsumer]:
    consumer = PartitionConsumer(bootstrap_servers="127.0.0.1:1", group_id="g")
    consumer._reader.retry_s = RETRY_S
    await log.consume(consumer)
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield consumer
    finally:
        await consumer._fetcher.close()
        consumer._closed = True  # It was never started.


async def taken(consumer: PartitionConsumer, count: int) -> dict[TopicPartition, list[bytes]]:
    """Poll until `count` records have come; return the values of each partition."""
    found: dict[TopicPartition, list[bytes]] = {}
    while sum(map(len, found.values())) < count:
        for partition, records in (await consumer.getmany(timeout_ms=50, max_records=100)).items():
            found.setdefault(partition, []).extend(values(records))
    return found


def log_with(bad: bytes) -> Log:
    return Log(
        {
            BAD: [packed_batch([b"a", b"b"]), bad, packed_batch([b"d"], begin=3)],
            GOOD: [packed_batch([bytes([65 + index])], begin=index) for index in range(5)],
        }
    )


@pytest.mark.law("L7")
@pytest.mark.parametrize(
    "bad",
    [
        with_wrong_checksum(packed_batch([b"c"], begin=2)),
        packed_batch([b"c"], begin=2, codec=1, pack=lambda plain: b"not gzip"),
    ],
    ids=["checksum", "compression"],
)
async def test_a_batch_that_cannot_be_read_stops_its_partition_only(bad: bytes) -> None:
    """What precedes it is delivered, and so is every record of the other partition, once."""
    log = log_with(bad)
    async with consumer_of(log) as consumer:
        assert await taken(consumer, 7) == {BAD: [b"a", b"b"], GOOD: [b"A", b"B", b"C", b"D", b"E"]}
        for index in range(5, 9):  # The partition fails again and again meanwhile.
            log.batches[GOOD].append(packed_batch([b"%d" % index], begin=index))
            await asyncio.sleep(RETRY_S)
            assert await taken(consumer, 1) == {GOOD: [b"%d" % index]}
        assert await consumer.position(BAD) == 2

        log.batches[BAD][1] = packed_batch([b"c"], begin=2)  # Another replica leads, whose disk is sound.
        assert await taken(consumer, 2) == {BAD: [b"c", b"d"]}


async def test_a_partition_that_fails_is_not_read_without_rest() -> None:
    """The broker is asked for its records, and the error is logged, once in a while."""
    log = log_with(with_wrong_checksum(packed_batch([b"c"], begin=2)))
    async with consumer_of(log) as consumer:
        consumer._reader.retry_s = 3_600
        await taken(consumer, 7)
        log.asked.clear()
        for index in range(5, 9):
            log.batches[GOOD].append(packed_batch([b"%d" % index], begin=index))
            await taken(consumer, 1)

    assert log.asked.count(GOOD) >= 4
    assert log.asked.count(BAD) <= 1


async def test_no_more_than_the_maximum_is_taken() -> None:
    """Of all partitions together; the rest comes next time."""
    log = Log({BAD: [packed_batch([b"a", b"b"])], GOOD: [packed_batch([b"A", b"B"])]})
    async with consumer_of(log) as consumer:
        polls: list[int] = []
        while sum(polls) < 4:
            polls.append(sum(map(len, (await consumer.getmany(timeout_ms=50, max_records=3)).values())))

    assert max(polls) <= 3


async def test_a_partition_with_many_records_does_not_make_another_one_wait() -> None:
    """Faust's consumer takes some of each."""
    many = [packed_batch([b"%d" % index for index in range(40)])]
    log = Log({BAD: many, GOOD: [packed_batch([b"A"])]})
    async with consumer_of(log) as consumer:
        taken_of: dict[TopicPartition, list[int]] = {BAD: [], GOOD: []}
        while not taken_of[GOOD] or sum(taken_of[BAD]) < 40:
            for partition, records in (
                await consumer._reader.take(consumer, (), timeout_s=0.05, each_max=2)
            ).items():
                taken_of[partition].append(len(records))

    assert (max(taken_of[BAD]), taken_of[GOOD]) == (2, [1])


async def test_only_the_partitions_that_are_asked_for_are_taken() -> None:
    log = Log({BAD: [packed_batch([b"a"])], GOOD: [packed_batch([b"A"])]})
    async with consumer_of(log) as consumer:
        while not (first := await consumer.getmany(GOOD, timeout_ms=50)):
            pass

        assert list(first) == [GOOD]
        assert await taken(consumer, 1) == {BAD: [b"a"]}
