"""The newest records of the topic `operations`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson
import pytest

from streams.core.lag.samples import Log
from streams.errors import StoreUnavailable
from streams.jobs.records import StoredRecord
from streams.monitor.operations import OperationsTail
from tests.worlds.api import FakeRecords

TOPIC = "operations"


@dataclass
class World:
    """The topic, of which `start` is the first offset that is left."""

    records: list[StoredRecord] = field(default_factory=list)
    start: int = 0
    log: FakeRecords = field(default_factory=FakeRecords)

    def __post_init__(self) -> None:
        self.log.logs = {(TOPIC, 0): self.records}
        self.tail = OperationsTail(self.log, self, TOPIC, 3, lambda: 7)

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, self.start)

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, self.records[-1].offset + 1 if self.records else 0)

    def add(self, *offsets: int, value: bytes | None = None) -> None:
        for offset in offsets:
            content = orjson.dumps({"type": "x", "n": offset}) if value is None else value
            self.records.append(
                StoredRecord(offset=offset, timestamp_ms=0, key=None, value=content, headers=())
            )

    async def read(self) -> list[int]:
        await self.tail.read()
        return [record["n"] for record in self.tail.newest()]


async def test_the_last_records_are_known_the_newest_first_and_then_what_is_new() -> None:
    world = World()
    assert [] == await world.read()
    world.add(*range(10))
    assert [9, 8, 7] == await world.read()
    world.add(10)

    assert [10, 9, 8] == await world.read()
    assert 7 == world.tail.read_s


async def test_offsets_without_a_record_at_the_end_are_passed_once() -> None:
    """A control record of a transaction, which nobody can read."""
    world = World()
    world.add(0, 1)
    world.log.logs = {(TOPIC, 0): world.records[:1]}

    assert [0] == await world.read()
    assert [0] == await world.read()


async def test_a_topic_that_was_created_again_is_read_again() -> None:
    world = World()
    world.add(*range(5))
    await world.read()
    world.records[:] = []
    world.add(0)

    assert 0 == (await world.read())[0]


async def test_what_is_no_record_of_ours_is_left_out() -> None:
    world = World()
    world.add(0)
    world.add(1, value=b"{")
    world.add(2, value=b"[]")

    assert [0] == await world.read()


async def test_what_was_read_stays_known_while_kafka_is_away() -> None:
    world = World()
    world.add(0)
    await world.read()
    world.add(1)
    world.log.down = True

    with pytest.raises(StoreUnavailable):
        await world.read()
    assert [0] == [record["n"] for record in world.tail.newest()]
