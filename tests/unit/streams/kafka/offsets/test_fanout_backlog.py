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
EMPTY = LaneBacklog()


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
    """Clients get the messages that are queued; a new one gets those from its offsets on."""

    messages: list[Message] = field(default_factory=list)
    queue: deque[Message] = field(default_factory=deque)
    assigned: list[dict[int, int]] = field(default_factory=list)
    closed: int = 0
    fails: bool = False

    def client(self, configuration: dict[str, Any]) -> "Broker":
        assert configuration["isolation.level"] == "read_committed"
        assert configuration["enable.auto.commit"] is False
        return self

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        assert {partition.topic for partition in partitions} == {"n.fanout"}
        offsets = {partition.partition: partition.offset for partition in partitions}
        self.assigned.append(offsets)
        self.queue.clear()
        for number, offset in offsets.items():
            self.queue += [each for each in self.messages if each.number == number and each.at >= offset]
            self.queue.append(Message(number, code=KafkaError._PARTITION_EOF))

    def publish(self, message: Message) -> None:
        self.messages.append(message)
        self.queue.append(message)

    def consume(self, count: int, timeout: float) -> list[Message]:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        return [self.queue.popleft() for _ in range(min(count, len(self.queue), 3))]

    def close(self) -> None:
        self.closed += 1


def record(partition: int, offset: int, deliveries: int) -> Message:
    return Message(partition, offset, [("other", b"x"), (DELIVERIES, b"%d" % deliveries)])


def backlog_of(broker: Broker, offsets: FakeOffsets) -> FanoutBacklog:
    return FanoutBacklog(KafkaSettings(namespace="n."), offsets, LOCAL, new_consumer=broker.client)


async def test_records_count_from_their_publication_to_their_commit() -> None:
    """By lane, at the first read and at every later one."""
    broker, offsets = Broker(), FakeOffsets()
    offsets.commit_of["n.fanout-normal", "n.fanout", 1] = 5
    for message in (record(1, 4, 1_000), record(1, 5, 30), record(0, 0, 7), record(BULK[0], 3, 900)):
        broker.messages.append(message)
    backlog = backlog_of(broker, offsets)
    assert await backlog.read() == {
        Lane.NORMAL: LaneBacklog(37, 2, 1_000),
        Lane.BULK: LaneBacklog(900, 1, 1_003),
    }
    assert broker.assigned[0][1] == 5
    assert broker.assigned[0].keys() == {*NORMAL, *BULK}

    broker.publish(record(BULK[1], 0, 11))
    offsets.commit_of["n.fanout-bulk", "n.fanout", BULK[0]] = 4
    offsets.commit_of["n.fanout-normal", "n.fanout", 0] = 1
    assert await backlog.read() == {
        Lane.NORMAL: LaneBacklog(30, 1, 1_005),
        Lane.BULK: LaneBacklog(11, 1, 1_000),
    }
    assert backlog.committed[BULK[0]] == 4
    assert len(broker.assigned) == 1


async def test_a_record_of_an_older_worker_counts_as_a_page() -> None:
    broker, offsets = Broker(), FakeOffsets()
    broker.messages.append(Message(0, 0, None))
    assert (await backlog_of(broker, offsets).read())[Lane.NORMAL] == LaneBacklog(1_000, 1, 1_000)


async def test_after_an_error_the_log_is_read_from_the_commits_again() -> None:
    """The client that failed is closed. One broker that is away is no error of a partition."""
    broker, offsets = Broker(), FakeOffsets()
    backlog = backlog_of(broker, offsets)
    broker.messages.append(record(0, 0, 7))
    await backlog.read()
    broker.publish(Message(0, code=KafkaError._TRANSPORT, name=None))
    assert (await backlog.read())[Lane.NORMAL].deliveries == 7

    broker.fails = True
    with pytest.raises(StoreUnavailable):
        await backlog.read()
    broker.fails = False
    broker.messages.append(record(0, 1, 8))
    offsets.commit_of["n.fanout-normal", "n.fanout", 0] = 1
    assert (await backlog.read())[Lane.NORMAL] == LaneBacklog(8, 1, 1_001)
    assert (len(broker.assigned), broker.closed) == (2, 1)


async def test_nothing_is_said_before_every_log_was_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a backlog would close a breaker that must stay open."""
    monkeypatch.setattr(fanout_backlog, "FIRST_S_MAX", 0.0)
    broker, offsets = Broker(), FakeOffsets()
    backlog = backlog_of(broker, offsets)
    broker.assign = lambda partitions: None  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="not read yet"):
        await backlog.read()
