"""The internal topics are deleted only when nothing is lost with them."""

import pytest

from shutterline.new_generation import INTERNAL, Generation, made_with
from streams.errors import StoreUnavailable
from streams.ports.timelines import Timelines
from streams.roles import Role, group_of
from streams.stores.memory.stores import memory_stores
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import EDGES, FANOUT, RENDITIONS
from topics.sizes import SIZES, Profile, Sizes

ALL = [topic.named("t.") for topic in INTERNAL]
LARGE = SIZES[Profile.LARGE]


@pytest.fixture
def offsets() -> FakeOffsets:
    """A broker where each lane has a record, which its group has handled."""
    offsets = FakeOffsets()
    for role, topic, partition in (
        (Role.EDGES, EDGES, 7),
        (Role.NORMAL, FANOUT, 5),
        (Role.BULK, FANOUT, 6),
        (Role.THUMBNAIL, RENDITIONS, 1),
        (Role.FULL, RENDITIONS, 2),
    ):
        offsets.end_of[topic.named("t."), partition] = 1
        offsets.commit_of[group_of("t.", role), topic.named("t."), partition] = 1
    return offsets


@pytest.fixture
async def timelines() -> Timelines:
    """A Redis that has everything of `fanout`."""
    timelines = memory_stores(clock_ms=lambda: 0).timelines
    await timelines.save_all_checkpoints(dict.fromkeys(range(8), 0) | {5: 1, 6: 1})
    return timelines


def generation(offsets: FakeOffsets, timelines: Timelines, names: list[str] = ALL) -> Generation:
    return Generation("t.", names, LOCAL, offsets, timelines)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_profile_of_topics_is_seen_from_what_is_left_of_them(sizes: Sizes) -> None:
    """The command may have died after it deleted some."""
    counts = {topic.named("t."): sizes.partitions(topic) for topic in INTERNAL}

    assert sizes == made_with("t.", counts)
    assert sizes == made_with("t.", {"t.fanout": counts["t.fanout"]})


def test_topics_of_no_profile_are_left_alone() -> None:
    assert made_with("t.", {"t.edges": 8, "t.fanout": 64}) is None


async def test_handled_topics_may_go(offsets: FakeOffsets, timelines: Timelines) -> None:
    assert [] == await generation(offsets, timelines).unhandled()


@pytest.mark.parametrize(
    ("name", "partition", "group"),
    [
        ("t.edges", 0, "t.edges"),
        ("t.fanout", 0, "t.fanout-normal"),
        ("t.fanout", 7, "t.fanout-bulk"),
        ("t.renditions", 0, "t.renditions-thumbnail"),
        ("t.renditions", 5, "t.renditions-full"),
    ],
)
async def test_a_record_that_is_not_handled_is_named(
    offsets: FakeOffsets, timelines: Timelines, name: str, partition: int, group: str
) -> None:
    """Also in a partition of which its group has committed nothing."""
    offsets.end_of[name, partition] = 3

    unhandled = await generation(offsets, timelines).unhandled()
    assert f"{group} has not handled 3 records of {name}" in unhandled


async def test_a_redis_that_came_back_older_must_be_repaired_first(
    offsets: FakeOffsets, timelines: Timelines
) -> None:
    """Only the log has what it lacks."""
    await timelines.save_checkpoint(6, 0, expected=1)
    flushed = memory_stores(clock_ms=lambda: 0).timelines

    older = await generation(offsets, timelines).unhandled()
    assert older == ["Redis has not got all of t.fanout, partitions [6]"]
    assert await generation(offsets, flushed).unhandled()


async def test_a_run_that_died_is_continued(offsets: FakeOffsets, timelines: Timelines) -> None:
    """After it deleted `fanout`; but not if somebody else did, who did not look at Redis."""
    rest = ["t.renditions"]
    assert "is gone, but Redis" in str(await generation(offsets, timelines, rest).unhandled())
    await generation(offsets, timelines).begin_at_zero(LARGE.partitions(FANOUT))

    assert [] == await generation(offsets, timelines, rest).unhandled()


async def test_the_new_log_begins_at_zero_in_every_partition(
    offsets: FakeOffsets, timelines: Timelines
) -> None:
    """Otherwise Redis would seem to have the first records of the new log."""
    await generation(offsets, timelines).begin_at_zero(LARGE.partitions(FANOUT))

    assert dict.fromkeys(range(64), 0) == await timelines.checkpoints(range(64))


async def test_nothing_is_known_while_kafka_is_away(offsets: FakeOffsets, timelines: Timelines) -> None:
    offsets.is_down = True

    with pytest.raises(StoreUnavailable):
        await generation(offsets, timelines).unhandled()
