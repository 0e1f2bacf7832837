"""The backlog of `fanout` is what its log holds beyond the commits, as each record says of itself."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.internal import DELIVERIES
from streams.core.overload.backlog import LaneBacklog
from streams.errors import StoreUnavailable
from streams.kafka.offsets import fanout_backlog
from streams.kafka.offsets.fanout_backlog import FanoutBacklog
from streams.settings import KafkaSettings
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import FANOUT, Lane

NORMAL, BULK = LOCAL.range_of(FANOUT, Lane.NORMAL), LOCAL.range_of(FANOUT, Lane.BULK)


@dataclass
class Message:
    """A record, or the end of a partition, or another error."""

    number: int
    at: int = 0
    said: Sequence[tuple[str, bytes]] | None = None
    code: int | None = None
    name: str | None = "n.fanout"

    def topic(self) -> str | None:
        return self.name

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000 + self.at

    def headers(self) -> Sequence[tuple[str, bytes]] | None:
        return self.said

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code)


@dataclass
class Broker:
    """Clients get the messages that are queued; a new one gets those from its offsets on.

    The client of a partition that is `silent` hears nothing of it.
    """

    offsets: FakeOffsets = field(default_factory=FakeOffsets)
    messages: list[Message] = field(default_factory=list)
    queue: deque[Message] = field(default_factory=deque)
    assigned: list[dict[int, int]] = field(default_factory=list)
    silent: set[int] = field(default_factory=set)
    closed: int = 0
    fails: bool = False

    def client(self, configuration: dict[str, Any]) -> "Broker":
        assert configuration["isolation.level"] == "read_committed"
        assert configuration["enable.auto.commit"] is False
        return self

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        assert {partition.topic for partition in partitions} == {"n.fanout"}
        offsets = {partition.partition: partition.offset for partition in partitions}
        self.assigned.append(offsets)
        self.queue.clear()
        for number, offset in offsets.items():
            self.queue += [each for each in self.messages if each.number == number and each.at >= offset]
            end = self.offsets.end_of.get(("n.fanout", number), 0)
            self.queue.append(Message(number, end, code=KafkaError._PARTITION_EOF))

    def publish(self, message: Message) -> None:
        self.messages.append(message)
        self.queue.append(message)
        if message.code is None:
            self.offsets.end_of["n.fanout", message.number] = message.at + 1

    def consume(self, count: int, timeout: float) -> list[Message]:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        some = [self.queue.popleft() for _ in range(min(count, len(self.queue), 3))]
        return [message for message in some if message.number not in self.silent]

    def close(self) -> None:
        self.closed += 1


def record(partition: int, offset: int, deliveries: int) -> Message:
    return Message(partition, offset, [("other", b"x"), (DELIVERIES, b"%d" % deliveries)])


def backlog_of(broker: Broker, now_ms: int = 9_000) -> FanoutBacklog:
    return FanoutBacklog(
        KafkaSettings(namespace="n."),
        broker.offsets,
        LOCAL,
        new_consumer=broker.client,
        clock_ms=lambda: now_ms,
    )


def commit(broker: Broker, partition: int, offset: int) -> None:
    group = "n.fanout-normal" if partition in NORMAL else "n.fanout-bulk"
    broker.offsets.commit_of[group, "n.fanout", partition] = offset


def waiting(lane: LaneBacklog) -> tuple[int, int, dict[int, int]]:
    oldest = {partition: oldest for partition, oldest in lane.oldest_ms.items() if oldest is not None}
    return lane.deliveries, lane.records, oldest


async def test_records_count_from_their_publication_to_their_commit() -> None:
    """By lane, at the first read and at every later one. What was there before has its producer's time."""
    broker = Broker()
    commit(broker, 1, 5)
    for message in (record(1, 4, 1_000), record(1, 5, 30), record(0, 0, 7), record(BULK[0], 3, 900)):
        broker.publish(message)
    backlog = backlog_of(broker)
    lanes = await backlog.read()
    assert waiting(lanes[Lane.NORMAL]) == (37, 2, {0: 1_000, 1: 1_005})
    assert waiting(lanes[Lane.BULK]) == (900, 1, {BULK[0]: 1_003})
    assert broker.assigned[0][1] == 5
    assert broker.assigned[0].keys() == {*NORMAL, *BULK}

    broker.publish(record(BULK[1], 0, 11))
    commit(broker, BULK[0], 4)
    commit(broker, 0, 1)
    lanes = await backlog.read()
    assert waiting(lanes[Lane.NORMAL]) == (30, 1, {1: 1_005})
    assert waiting(lanes[Lane.BULK]) == (11, 1, {BULK[1]: 9_000})
    assert backlog.committed[BULK[0]] == 4
    assert len(broker.assigned) == 1


async def test_a_producer_whose_clock_is_ahead_makes_nothing_younger_than_now() -> None:
    broker = Broker()
    broker.publish(record(0, 0, 1))
    assert waiting((await backlog_of(broker, now_ms=500).read())[Lane.NORMAL]) == (1, 1, {0: 500})


async def test_a_record_of_an_older_worker_counts_as_a_page() -> None:
    broker = Broker()
    broker.publish(Message(0, 0, None))
    assert waiting((await backlog_of(broker).read())[Lane.NORMAL]) == (1_000, 1, {0: 1_000})


async def test_offsets_without_records_are_not_waited_for() -> None:
    """The log begins after the commit, or ends with offsets that have no record."""
    broker = Broker()
    broker.offsets.end_of["n.fanout", 0] = 70
    commit(broker, 0, 3)
    assert waiting((await backlog_of(broker).read())[Lane.NORMAL]) == (0, 0, {})


async def test_after_an_error_the_log_is_read_from_the_commits_again() -> None:
    """The client that failed is closed. One broker that is away is no error of a partition."""
    broker = Broker()
    backlog = backlog_of(broker)
    broker.publish(record(0, 0, 7))
    await backlog.read()
    broker.publish(Message(0, code=KafkaError._TRANSPORT, name=None))
    assert (await backlog.read())[Lane.NORMAL].deliveries == 7

    broker.publish(record(0, 1, 8))
    commit(broker, 0, 1)
    broker.fails = True
    for _ in range(2):  # At the second time the new client fails.
        with pytest.raises(StoreUnavailable):
            await backlog.read()
    broker.fails = False
    assert waiting((await backlog.read())[Lane.NORMAL])[:2] == (8, 1)
    assert (len(broker.assigned), broker.closed) == (2, 2)


async def test_nothing_is_said_while_a_log_cannot_be_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a backlog would close a breaker that must stay open: at the start, and when a broker is cut off
    later. What comes meanwhile from others does not put off the answer."""
    monkeypatch.setattr(fanout_backlog, "LOOK_S_MAX", 0.02)
    broker = Broker()
    broker.publish(record(1, 0, 5))
    broker.silent = {1}
    backlog = backlog_of(broker)
    for offset in range(3):
        broker.publish(record(0, offset, 7))
        with pytest.raises(StoreUnavailable, match=r"\[1\] are not read"):
            await backlog.read()
    broker.silent = set()
    broker.publish(record(1, 1, 6))
    assert (await backlog.read())[Lane.NORMAL].deliveries > 0
    broker.silent = {1}
    broker.publish(record(1, 2, 6))
    with pytest.raises(StoreUnavailable, match=r"\[1\] are not read"):
        await backlog.read()
