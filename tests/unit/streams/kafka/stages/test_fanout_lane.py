"""A lane of fan-out: the timelines, then the checkpoint, then the acknowledgement."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from schemas.envelope import Record
from schemas.ids import PhotoId, UserId, first_id_at
from schemas.internal import Backfill, FanoutRecord, OwnPost, encode_fanout
from streams.core import ring
from streams.errors import StoreUnavailable
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.stages.fanout_applier import FanoutApplier
from streams.kafka.stages.fanout_lane import FanoutLane
from streams.kafka.stages.redis_checkpoints import RedisCheckpoints
from streams.settings import FanoutSettings, RetrySettings
from streams.stores.memory.stores import memory_stores
from tests.unit.streams.kafka.stages.test_redis_checkpoints import Log
from tests.worlds.flaky_stores import FlakyStores, Moment
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import FANOUT, Lane

NOW_MS = 1_800_000_000_000
AUTHOR, FOLLOWEE = UserId(7), UserId(8)
GROUP_PARTITION = GroupPartition("fanout-normal", "fanout", 0)
PHOTO = PhotoId(first_id_at(NOW_MS - 1_000))
OTHER_PHOTO = PhotoId(PHOTO + 1)
RETRY = RetrySettings(store_wait_s_max=1)


@dataclass(slots=True)
class World:
    """One lane over stores; `log` has the writes and the acknowledgements, in order."""

    lane_name: Lane = Lane.NORMAL
    log: list[str] = field(default_factory=list)
    at: Callable[[Moment], None] = lambda moment: None
    is_assigned: bool = True
    stores: FlakyStores = field(init=False)
    lane: FanoutLane = field(init=False)

    def __post_init__(self) -> None:
        async def at(moment: Moment) -> None:
            self.at(moment)
            if moment.done and moment.operation in ("append", "insert", "save_checkpoint"):
                self.log.append(moment.operation)

        self.stores = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS), at)
        throttle = BackgroundThrottle(rest_ratio=3, rest_s_max=0.0)
        applier = FanoutApplier(
            settings=FanoutSettings(),
            retry=RETRY,
            stores=self.stores.stores,
            lane=self.lane_name,
            calls=asyncio.Semaphore(3),
            throttle=throttle,
            clock_ms=lambda: NOW_MS,
        )
        checkpoints = RedisCheckpoints(
            retry=RETRY,
            timelines=self.stores.stores.timelines,
            offsets=FakeOffsets(),
            records=Log(),
            topic="fanout",
            group="fanout-normal",
            groups={"fanout-normal": range(8)},
            owned=lambda: {0},
            apply=applier.apply,
        )
        self.lane = FanoutLane("fanout-normal", self.lane_name, checkpoints, Progress(), throttle)

    async def begin(self) -> None:
        timelines = self.stores.real.timelines
        await timelines.save_all_checkpoints(dict.fromkeys(range(LOCAL.partitions(FANOUT)), 0))
        await timelines.begin_rebuild(AUTHOR, b"12345678")
        await timelines.finish_rebuild(AUTHOR, b"12345678", [], 0)

    async def deliver(self, *offsets: int) -> None:
        await self.deliver_messages({offset: OwnPost(PHOTO, AUTHOR, NOW_MS) for offset in offsets})

    async def deliver_messages(self, messages: dict[int, FanoutRecord]) -> None:
        records = [
            Record("fanout", 0, offset, NOW_MS, None, encode_fanout(message), ())
            for offset, message in messages.items()
        ]
        await self.lane(
            Delivered(records, 1, lambda: self.is_assigned, lambda count: self.log.append(f"ack {count}"))
        )

    async def timeline(self) -> list[int]:
        value = await self.stores.real.timelines.read(AUTHOR)
        assert value is not None
        return list(ring.parse(value).ids)


async def new_world(lane: Lane = Lane.NORMAL) -> World:
    world = World(lane)
    await world.begin()
    return world


@pytest.mark.law("L7")
@pytest.mark.law("L8")
@pytest.mark.parametrize("lane", [Lane.NORMAL, Lane.BULK])
async def test_a_checkpoint_follows_the_write_and_precedes_the_acknowledgement(lane: Lane) -> None:
    """Ahead of the write it would hide a loss; behind the commit an older Redis would not be found."""
    world = await new_world(lane)

    await world.deliver(0, 1)

    assert world.log[0] in ("append", "insert")
    assert world.log[-2:] == ["save_checkpoint", "ack 2"]
    assert world.log.count("save_checkpoint") == 1
    assert PHOTO in await world.timeline()
    assert (await world.stores.real.timelines.checkpoints([0]))[0] == 2


@pytest.mark.law("L7")
async def test_a_store_that_fails_at_any_call_delays_the_batch() -> None:
    """Each call fails once, in turn: the batch is applied, checkpointed and acknowledged all the same."""
    number = 0
    while True:
        world = await new_world()
        calls = 0

        def fail_once(moment: Moment, number: int = number) -> None:
            nonlocal calls
            if not moment.done:
                calls += 1
                if calls == number + 1:
                    raise StoreUnavailable(moment.store, moment.operation, "a test said so")

        world.at = fail_once
        await world.deliver(0)

        assert world.log[-1] == "ack 1", number
        assert PHOTO in await world.timeline()
        if calls <= number:
            break
        number += 1
    assert number >= 3


@pytest.mark.law("L7")
async def test_a_partition_that_is_revoked_while_a_store_is_away_is_not_acknowledged() -> None:
    """Its next owner applies the batch again."""
    world = await new_world()

    def lose(moment: Moment) -> None:
        world.is_assigned = False
        raise StoreUnavailable(moment.store, moment.operation, "a test said so")

    world.at = lose
    async with asyncio.timeout(10):
        await world.deliver(0)

    assert [entry for entry in world.log if entry.startswith("ack")] == []


async def test_a_batch_that_is_delivered_again_changes_nothing() -> None:
    """Kafka delivers it again, for example, after a kill between the write and the commit."""
    world = await new_world()
    await world.deliver(0)
    once = set(await world.timeline())

    await world.deliver(0)

    assert set(await world.timeline()) == once
    assert (await world.stores.real.timelines.checkpoints([0]))[0] == 1


@pytest.mark.law("L7")
async def test_a_partition_that_is_revoked_at_any_call_is_not_acknowledged() -> None:
    """Whichever store is away, the lane gives up instead of waiting for it."""
    number = 0
    while True:
        world = await new_world()
        calls = 0

        def lose(moment: Moment, world: World = world, number: int = number) -> None:
            nonlocal calls
            calls += not moment.done
            if not moment.done and calls > number:
                world.is_assigned = False
                raise StoreUnavailable(moment.store, moment.operation, "a test said so")

        world.at = lose
        async with asyncio.timeout(10):
            await world.deliver(0)

        if calls <= number:
            break
        assert not [entry for entry in world.log if entry.startswith("ack")], number
        number += 1
    assert number >= 3


async def test_every_record_of_a_batch_is_applied() -> None:
    """Two photos and a backfill: one acknowledgement covers all three."""
    world = await new_world()
    older = PhotoId(PHOTO - 1)
    await world.stores.real.author_photos.add([(older, FOLLOWEE)], ready=True)

    await world.deliver_messages(
        {
            0: OwnPost(PHOTO, AUTHOR, NOW_MS),
            1: OwnPost(OTHER_PHOTO, AUTHOR, NOW_MS),
            2: Backfill(((AUTHOR, FOLLOWEE),)),
        }
    )

    assert {older, PHOTO, OTHER_PHOTO} <= set(await world.timeline())
    assert world.log[-1] == "ack 3"


async def test_a_batch_is_applied_under_its_partitions_lock() -> None:
    """Otherwise the watch would repair the partition while its checkpoint is about to move."""
    world = await new_world()
    locked: list[bool] = []
    world.at = lambda moment: locked.append(world.lane.checkpoints.lock(0).locked())

    await world.deliver(0)

    assert locked
    assert all(locked)
    assert not world.lane.checkpoints.lock(0).locked()


@pytest.mark.parametrize(("lane", "is_urgent"), [(Lane.NORMAL, True), (Lane.BULK, False)])
async def test_only_the_normal_lane_counts_as_urgent(lane: Lane, is_urgent: bool) -> None:
    """If bulk counted as urgent, it would slow itself down."""
    world = await new_world(lane)
    urgent: list[bool] = []
    world.at = lambda moment: urgent.append(world.lane.throttle._urgent > 0)

    await world.deliver(0)

    assert set(urgent) == {is_urgent}


@pytest.mark.parametrize(("lane", "rests"), [(Lane.NORMAL, False), (Lane.BULK, True)])
async def test_only_the_bulk_lane_rests(lane: Lane, rests: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users wait for the posts of the normal lane, so it never sleeps."""
    rested: list[float] = []

    async def rest(throttle: BackgroundThrottle, worked_s: float) -> None:
        rested.append(worked_s)

    monkeypatch.setattr(BackgroundThrottle, "rest", rest)
    world = await new_world(lane)
    await world.deliver(0)

    assert bool(rested) is rests


async def test_the_watchdog_excuses_a_lane_only_while_it_applies_a_batch() -> None:
    """Redis may be down for an hour; but a consumer that stops after the batch is found."""
    world = await new_world()
    world.lane.progress.own("fanout-normal", {GROUP_PARTITION})
    stuck: list[list[GroupPartition]] = []
    world.at = lambda moment: stuck.append(world.lane.progress.stuck({GROUP_PARTITION: 9}, -1.0))

    await world.deliver(0, 1)

    assert len(stuck) >= 3
    assert not any(stuck)
    assert [world.lane.progress.stuck({GROUP_PARTITION: 2}, -1.0) for _ in range(2)] == [[], []]
    assert world.lane.progress.stuck({GROUP_PARTITION: 3}, -1.0) == [GROUP_PARTITION]


async def test_what_was_appended_before_a_store_failed_is_not_appended_again() -> None:
    """While one server of several is away, the timelines of the others would fill with the same photos, and
    push out older ones."""
    world = await new_world()
    failures = 5

    def fail_after(moment: Moment) -> None:
        nonlocal failures
        if moment.done and moment.operation in ("append", "insert") and failures:
            failures -= 1
            raise StoreUnavailable("redis", moment.operation, "one of its servers is away")

    world.at = fail_after
    await world.deliver(0)

    value = await world.stores.real.timelines.read(AUTHOR)
    assert value is not None
    assert list(ring.parse(value).slots).count(PHOTO) == 1
    assert failures == 0
