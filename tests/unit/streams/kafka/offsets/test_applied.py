"""How far records have come, stage after stage."""

import pytest

from streams.errors import StoreUnavailable
from streams.kafka.offsets.applied import Stage, Walk
from tests.worlds.kafka import FakeOffsets

STAGES = [Stage("first", {"one": [0, 1], "two": [0]}), Stage("second", {"three": [0]})]


async def test_a_walk_is_done_when_each_stage_has_handled_what_was_there_after_the_one_before() -> None:
    broker = FakeOffsets()
    broker.end_of |= {("one", 1): 5, ("three", 0): 7}
    walk = Walk(broker, STAGES)
    assert not await walk.is_done()

    broker.end_of["one", 1] = 6  # Published later, so nobody waits for it.
    broker.commit_of["first", "one", 1] = 5
    broker.end_of["three", 0] = 8  # Published by the first stage, perhaps.
    broker.commit_of["second", "three", 0] = 7
    assert not await walk.is_done()

    broker.commit_of["second", "three", 0] = 8
    broker.end_of["three", 0] = 9
    assert await walk.is_done()


async def test_a_stage_with_several_topics_waits_for_all() -> None:
    broker = FakeOffsets()
    broker.end_of |= {("one", 0): 1, ("two", 0): 1}
    walk = Walk(broker, STAGES)
    broker.commit_of["first", "one", 0] = 1
    assert not await walk.is_done()
    broker.commit_of["first", "two", 0] = 1
    assert await walk.is_done()


async def test_offsets_without_a_record_are_not_waited_for() -> None:
    broker = FakeOffsets()
    broker.end_of["three", 0] = 2
    broker.empty_of["three", 0] = {0, 1}
    walk = Walk(broker, STAGES)
    assert [await walk.is_done() for _ in range(2)][-1]


async def test_a_walk_goes_on_after_the_brokers_were_away() -> None:
    broker = FakeOffsets()
    broker.end_of["one", 0] = 1
    walk = Walk(broker, STAGES)
    assert not await walk.is_done()
    broker.is_down = True
    with pytest.raises(StoreUnavailable):
        await walk.is_done()

    broker.is_down = False
    broker.commit_of["first", "one", 0] = 1
    assert await walk.is_done()
