"""How far records have come, stage after stage."""

import pytest

from streams.errors import StoreUnavailable
from streams.kafka.offsets.applied import Stage, Walk
from streams.stores.memory.timelines import MemoryTimelines
from tests.worlds.kafka import FakeOffsets

NOW_MS = 1_800_000_000_000
STAGES = [Stage("first", {"one": [0, 1], "two": [0]}), Stage("second", {"three": [0]}, writes_timelines=True)]


def timelines(groups: int = 1) -> MemoryTimelines:
    return MemoryTimelines(
        lambda: NOW_MS,
        slots=3,
        ttl_s=60,
        renew_s=30,
        rebuild_ttl_ms=30_000,
        fanout_partitions=1,
        groups=groups,
    )


async def test_a_walk_is_done_when_each_stage_has_handled_what_was_there_after_the_one_before() -> None:
    broker = FakeOffsets()
    broker.end_of |= {("one", 1): 5, ("three", 0): 7}
    walk = Walk(broker, timelines(), STAGES)
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
    walk = Walk(broker, timelines(), STAGES)
    broker.commit_of["first", "one", 0] = 1
    assert not await walk.is_done()
    broker.commit_of["first", "two", 0] = 1
    assert await walk.is_done()


async def test_offsets_without_a_record_are_not_waited_for() -> None:
    broker = FakeOffsets()
    broker.end_of["three", 0] = 2
    broker.empty_of["three", 0] = {0, 1}
    walk = Walk(broker, timelines(), STAGES)
    assert [await walk.is_done() for _ in range(2)][-1]


async def test_a_walk_goes_on_after_the_brokers_were_away() -> None:
    broker = FakeOffsets()
    broker.end_of["one", 0] = 1
    walk = Walk(broker, timelines(), STAGES)
    assert not await walk.is_done()
    broker.is_down = True
    with pytest.raises(StoreUnavailable):
        await walk.is_done()

    broker.is_down = False
    broker.commit_of["first", "one", 0] = 1
    assert await walk.is_done()


@pytest.mark.law("L15")
async def test_a_walk_waits_for_groups_that_the_last_stage_has_left_out() -> None:
    """Their server was away when the record was committed, so a follow is not backfilled there yet."""
    broker, stored = FakeOffsets(), timelines(4)
    await stored.save_all_checkpoints({0: 0})
    broker.end_of["three", 0] = broker.commit_of["second", "three", 0] = 3
    assert await stored.save_checkpoint(0, 3, expected=0, groups=[0, 1, 3])
    walk = Walk(broker, stored, STAGES)
    assert not await walk.is_done()

    assert await stored.save_checkpoint(0, 3, expected=0, groups=[2])
    assert await walk.is_done()
