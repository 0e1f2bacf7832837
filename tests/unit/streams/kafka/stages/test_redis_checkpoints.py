"""Checkpoints show that Redis lost data or came back older; it gets exactly what is missing."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.traffic.waiting import eventually
from schemas.envelope import Record
from schemas.ids import UserId
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.stages.fanout_log import RecordLog
from streams.kafka.stages.redis_checkpoints import RedisCheckpoints
from streams.settings import RetrySettings
from streams.stores.memory.timelines import MemoryTimelines
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import FANOUT

NOW_MS = 1_800_000_000_000
TOPIC, OURS, OTHERS = "fanout", "fanout-normal", "fanout-bulk"
READER = UserId(7)


def always() -> bool:
    return True


class Log(RecordLog):
    """A log that has a record at every offset, and is read in batches of three."""

    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        for first in range(begin, end, 3):
            yield [
                Record(TOPIC, partition, offset, NOW_MS, None, None, ())
                for offset in range(first, min(first + 3, end))
            ]


class OrderedTimelines(MemoryTimelines):
    """Records the order of the two calls that a new Redis gets.

    If the checkpoints came first, a kill between the calls would leave outdated timelines.
    """

    def __init__(self, *args: Any, **limits: Any) -> None:
        super().__init__(*args, **limits)
        self.order: list[str] = []

    async def forget_all(self, groups: Collection[int] | None = None) -> int:
        self.order.append("forget_all")
        return await super().forget_all(groups)

    async def save_all_checkpoints(
        self, positions: Mapping[int, int], groups: Collection[int] | None = None
    ) -> bool:
        self.order.append("save_all_checkpoints")
        return await super().save_all_checkpoints(positions, groups)


@dataclass(slots=True)
class Worker:
    """A worker that owns the partitions `owned`; `applied` lists (partition, offset) of repairs."""

    timelines: OrderedTimelines
    offsets: FakeOffsets = field(default_factory=FakeOffsets)
    owned: set[int] = field(default_factory=lambda: {0, 1})
    applied: list[tuple[int, int]] = field(default_factory=list)
    while_applying: Callable[[], None] = lambda: None
    checkpoints: RedisCheckpoints = field(init=False)

    def __post_init__(self) -> None:
        self.checkpoints = RedisCheckpoints(
            retry=RetrySettings(store_wait_s_max=1),
            timelines=self.timelines,
            offsets=self.offsets,
            records=Log(),
            topic=TOPIC,
            group=OURS,
            groups={OURS: range(6), OTHERS: range(6, 8)},
            owned=lambda: self.owned,
            apply=self.apply,
        )

    async def apply(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        if not is_assigned():
            raise PartitionRevoked
        self.applied += [(record.partition, record.offset) for record in records]
        self.while_applying()

    def commit(self, partition: int, position: int, group: str = OURS) -> None:
        self.offsets.commit_of[group, TOPIC, partition] = position

    async def stored(self) -> dict[int, int]:
        return await self.timelines.checkpoints(range(LOCAL.partitions(FANOUT)))


def new_timelines(groups: int = 1) -> OrderedTimelines:
    return OrderedTimelines(
        lambda: NOW_MS,
        slots=3,
        ttl_s=60,
        renew_s=30,
        rebuild_ttl_ms=30_000,
        fanout_partitions=LOCAL.partitions(FANOUT),
        groups=groups,
    )


async def with_checkpoints(groups: int = 1, /, **positions: int) -> Worker:
    """A worker whose Redis has checkpoints for every partition; those not named are 0."""
    worker = Worker(new_timelines(groups))
    all_of_them = dict.fromkeys(range(LOCAL.partitions(FANOUT)), 0)
    all_of_them.update({int(name.removeprefix("p")): position for name, position in positions.items()})
    await worker.timelines.save_all_checkpoints(all_of_them)
    return worker


@pytest.mark.law("L8")
@pytest.mark.parametrize("is_saved", [False, True])
async def test_a_batch_is_applied_again_if_its_checkpoint_could_not_be_saved(is_saved: bool) -> None:
    """A replica that is older may have taken over: with the checkpoint from before the batch, without it.
    Nothing is applied again if only the reply was lost."""
    worker = await with_checkpoints(p0=10)
    save = worker.timelines.save_checkpoint

    async def failing(partition: int, position: int, **named: Any) -> bool:
        worker.timelines.save_checkpoint = save  # type: ignore[method-assign]  # Only this one fails.
        if is_saved:
            await save(partition, position, **named)
        raise StoreUnavailable("redis", "checkpoint", "the server was replaced")

    worker.timelines.save_checkpoint = failing  # type: ignore[method-assign]
    await worker.checkpoints.ensure(0, 10, always)
    await worker.checkpoints.advance(0, 12, always)

    assert worker.applied == ([] if is_saved else [(0, 10), (0, 11)])
    assert (await worker.stored())[0] == 12


@pytest.mark.law("L8")
async def test_a_flushed_redis_forgets_its_timelines_before_it_has_checkpoints() -> None:
    """All partitions are stored at once, at their groups' commits: the next check finds nothing wrong."""
    worker = Worker(new_timelines())
    await worker.timelines.begin_rebuild(READER, b"12345678")
    worker.commit(0, 5)
    worker.commit(7, 9, OTHERS)

    await worker.checkpoints.ensure(0, 5, always)

    assert worker.timelines.order[:2] == ["forget_all", "save_all_checkpoints"]
    assert await worker.timelines.read(READER) is None
    assert await worker.stored() == {**dict.fromkeys(range(8), 0), 0: 5, 7: 9}
    assert worker.applied == []


@pytest.mark.law("L8")
async def test_an_older_redis_gets_exactly_the_records_between() -> None:
    """From its checkpoint on, up to the position, in order; then its checkpoint says so."""
    worker = await with_checkpoints(p0=4)

    await worker.checkpoints.ensure(0, 9, always)

    assert worker.applied == [(0, offset) for offset in range(4, 9)]
    assert (await worker.stored())[0] == 9


@pytest.mark.law("L8")
async def test_the_checkpoint_is_stored_after_the_repair() -> None:
    """A kill during the repair leaves the old checkpoint, so that the next worker repairs again."""
    worker = await with_checkpoints(p0=4)
    seen: list[int] = []
    worker.while_applying = lambda: seen.append(worker.timelines._checkpoints[0][0])

    await worker.checkpoints.ensure(0, 9, always)

    assert set(seen) == {4}


@pytest.mark.law("L8")
async def test_a_log_that_no_longer_has_the_records_is_handled_like_a_flush() -> None:
    """Nobody knows what is missing, so no timeline is trusted."""
    worker = await with_checkpoints(p0=4)
    await worker.timelines.begin_rebuild(READER, b"12345678")
    worker.offsets.begin_of[TOPIC, 0] = 6

    await worker.checkpoints.ensure(0, 9, always)

    assert await worker.timelines.read(READER) is None
    assert worker.applied == []
    assert (await worker.stored())[0] == 9


async def test_an_equal_checkpoint_needs_no_repair() -> None:
    """The ordinary start of a worker: nothing is read again, no timeline is removed."""
    worker = await with_checkpoints(p0=9)
    await worker.timelines.begin_rebuild(READER, b"12345678")

    await worker.checkpoints.ensure(0, 9, always)

    assert worker.applied == []
    assert await worker.timelines.read(READER) is not None


async def test_advancing_stores_the_new_position() -> None:
    """If a batch is delivered again, the checkpoint does not move back."""
    worker = await with_checkpoints(p0=4)
    await worker.checkpoints.ensure(0, 4, always)

    await worker.checkpoints.advance(0, 7, always)
    await worker.checkpoints.advance(0, 6, always)

    assert (await worker.stored())[0] == 7


@pytest.mark.law("L8")
async def test_a_redis_that_went_back_between_two_batches_is_repaired() -> None:
    """The checkpoint is compared with each write: one that is not as expected means another Redis."""
    worker = await with_checkpoints(p0=4)
    await worker.checkpoints.ensure(0, 4, always)
    await worker.checkpoints.advance(0, 7, always)
    await worker.timelines.save_checkpoint(0, 5, expected=7)  # Redis came back older.

    await worker.checkpoints.advance(0, 9, always)

    assert worker.applied == [(0, offset) for offset in range(5, 9)]
    assert (await worker.stored())[0] == 9


@pytest.mark.law("L8")
async def test_an_idle_partition_is_repaired_too() -> None:
    """Nothing arrives for it, so only the watch finds out; the commit says how far it had been."""
    worker = await with_checkpoints(p0=4, p1=2)
    worker.commit(0, 6)
    worker.commit(1, 2)

    await worker.checkpoints.watch_once()

    assert worker.applied == [(0, 4), (0, 5)]
    assert await worker.timelines.confirm({0: 6, 1: 2}) == set()


async def test_the_watch_leaves_a_partition_alone_whose_batch_is_being_applied() -> None:
    """The batch compares the checkpoint itself; a repair would apply its records a second time."""
    worker = await with_checkpoints(p0=4)
    worker.owned = {0}
    worker.commit(0, 6)

    async with asyncio.timeout(10), worker.checkpoints.lock(0):
        await worker.checkpoints.watch_once()
        assert worker.applied == []
    await worker.checkpoints.watch_once()

    assert worker.applied == [(0, 4), (0, 5)]


async def test_a_worker_is_verified_when_all_its_partitions_are() -> None:
    """Until then pages say `partial`, so the worker must not report that it is ready."""
    worker = await with_checkpoints(p0=4)
    assert not worker.checkpoints.is_verified()

    await worker.checkpoints.ensure(0, 4, always)
    assert not worker.checkpoints.is_verified()
    await worker.checkpoints.watch_once()

    assert worker.checkpoints.is_verified()
    worker.owned = {0, 1, 2}
    assert not worker.checkpoints.is_verified()


async def test_a_partition_that_went_away_is_forgotten() -> None:
    """The next owner moves the checkpoint, so it is read again when the partition comes back."""
    worker = await with_checkpoints(p0=4)
    await worker.checkpoints.ensure(0, 4, always)
    worker.owned = set()
    await worker.checkpoints.watch_once()
    await worker.timelines.save_checkpoint(0, 8, expected=4)  # By the next owner.

    worker.owned = {0}
    await worker.checkpoints.ensure(0, 8, always)
    await worker.checkpoints.advance(0, 9, always)

    assert worker.applied == []
    assert (await worker.stored())[0] == 9


async def test_a_repair_ends_when_its_partition_is_revoked() -> None:
    """The checkpoint does not move, so that the next owner repeats the repair."""
    worker = await with_checkpoints(p0=4)
    worker.while_applying = worker.owned.clear

    with pytest.raises(PartitionRevoked):
        await worker.checkpoints.ensure(0, 20, lambda: bool(worker.owned))

    assert (await worker.stored())[0] == 4
    assert len(worker.applied) == 3


async def test_the_watch_outlives_a_broker_that_does_not_answer() -> None:
    """The watch looks again, so that an outage of Kafka does not end the process."""
    worker = await with_checkpoints(p0=4)
    worker.commit(0, 6)
    worker.offsets.is_down = True
    worker.checkpoints.watch_s = 0.0
    watching = asyncio.create_task(worker.checkpoints.watch())
    await eventually("the watch to look again", lambda: worker.offsets.questions >= 3)

    worker.offsets.is_down = False
    await eventually("the repair", lambda: (0, 5) in worker.applied)
    watching.cancel()

    assert worker.applied[:2] == [(0, 4), (0, 5)]


@pytest.mark.law("L8")
async def test_one_missing_checkpoint_is_handled_like_a_flush() -> None:
    """Nobody knows where to begin; offset 0 would be a guess."""
    worker = Worker(new_timelines())
    await worker.timelines.save_all_checkpoints({1: 2})
    await worker.timelines.begin_rebuild(READER, b"12345678")

    await worker.checkpoints.ensure(0, 9, always)

    assert await worker.timelines.read(READER) is None
    assert worker.applied == []
    assert await worker.stored() == {0: 9, 1: 2}


async def test_a_log_that_begins_at_the_checkpoint_is_long_enough() -> None:
    """The checkpoint is the next offset to apply, and the log holds it: no timeline is removed."""
    worker = await with_checkpoints(p0=4)
    await worker.timelines.begin_rebuild(READER, b"12345678")
    worker.offsets.begin_of[TOPIC, 0] = 4

    await worker.checkpoints.ensure(0, 9, always)

    assert worker.applied == [(0, offset) for offset in range(4, 9)]
    assert await worker.timelines.read(READER) is not None


async def test_a_log_that_expired_behind_an_equal_checkpoint_is_no_loss() -> None:
    """An idle partition's records have expired, but all of them were applied before."""
    worker = await with_checkpoints(p0=4)
    await worker.timelines.begin_rebuild(READER, b"12345678")
    worker.offsets.begin_of[TOPIC, 0] = 6

    await worker.checkpoints.ensure(0, 4, always)

    assert await worker.timelines.read(READER) is not None


@pytest.mark.law("L8")
async def test_a_checkpoint_that_moves_during_the_repair_is_read_again() -> None:
    """Redis was replaced meanwhile: what was applied may be lost, so the repair starts from what it says."""
    worker = await with_checkpoints(p0=4)

    def go_back_once() -> None:
        if len(worker.applied) == 5:
            worker.timelines._checkpoints[0][0] = 2

    worker.while_applying = go_back_once
    async with asyncio.timeout(10):
        await worker.checkpoints.ensure(0, 9, always)

    assert worker.applied == [(0, offset) for offset in (*range(4, 9), *range(2, 9))]
    assert (await worker.stored())[0] == 9


async def test_a_checkpoint_ahead_of_the_position_is_not_moved_back() -> None:
    """After a kill between checkpoint and commit it is ahead; the batch is then applied again."""
    worker = await with_checkpoints(p0=9)

    await worker.checkpoints.ensure(0, 6, always)

    assert worker.applied == []
    assert (await worker.stored())[0] == 9


async def test_a_partition_that_was_checked_is_confirmed() -> None:
    """Pages say `partial` until Redis has the confirmation of every partition."""
    worker = await with_checkpoints()
    for partition in range(LOCAL.partitions(FANOUT)):
        assert not await worker.timelines.verified()
        await worker.checkpoints.ensure(partition, 0, always)

    assert await worker.timelines.verified()


@pytest.mark.law("L8")
async def test_the_watch_repairs_up_to_what_was_applied_and_not_only_committed() -> None:
    """Commits follow the checkpoint by seconds; a Redis that went back misses those records too."""
    worker = await with_checkpoints(p0=4)
    worker.owned = {0}
    worker.commit(0, 4)
    await worker.checkpoints.ensure(0, 4, always)
    await worker.checkpoints.advance(0, 7, always)
    await worker.timelines.save_checkpoint(0, 5, expected=7)  # Redis came back older.

    await worker.checkpoints.watch_once()

    assert worker.applied == [(0, 5), (0, 6)]
    assert (await worker.stored())[0] == 7


async def test_no_batch_is_applied_while_the_watch_repairs() -> None:
    """The watch holds the partition's lock, so the batch and its checkpoint wait for the repair."""
    worker = await with_checkpoints(p0=4)
    worker.owned = {0}
    worker.commit(0, 6)
    locked: list[bool] = []
    worker.while_applying = lambda: locked.append(worker.checkpoints.lock(0).locked())

    await worker.checkpoints.watch_once()

    assert locked == [True]


async def test_the_watch_outlives_a_partition_that_is_revoked_during_its_repair() -> None:
    """From its next look on, the watch checks the other partitions."""
    worker = await with_checkpoints(p0=4, p1=2)
    worker.commit(0, 10)
    worker.commit(1, 3)
    worker.while_applying = lambda: worker.owned.discard(0)
    worker.checkpoints.watch_s = 0.0

    watching = asyncio.create_task(worker.checkpoints.watch())
    await eventually("the repair of the other", lambda: (1, 2) in worker.applied or watching.done())
    watching.cancel()

    assert (1, 2) in worker.applied


@pytest.mark.law("L8")
async def test_of_a_lost_server_only_its_timelines_are_forgotten() -> None:
    """In a cluster, the timelines of the other servers stay as they are."""
    worker = await with_checkpoints(4, p0=9)
    timelines = worker.timelines
    readers = {timelines.group_of(UserId(reader)): UserId(reader) for reader in range(1, 100)}
    for reader in readers.values():
        await timelines.begin_rebuild(reader, b"12345678")
    worker.commit(0, 9)
    timelines.lose(2)
    await timelines.begin_rebuild(readers[2], b"12345678")  # Before a worker has noticed.

    await worker.checkpoints.ensure(0, 9, always)

    exist = {group for group, reader in readers.items() if await timelines.read(reader) is not None}
    assert exist == {0, 1, 3}
    assert worker.applied == []
    assert await timelines.checkpoints_by_group([0]) == [{0: 9}] * 4


@pytest.mark.law("L8")
@pytest.mark.parametrize("older", [[2], [0], [0, 3], [1, 2, 3]])
async def test_servers_that_come_back_older_get_what_they_lack(older: list[int]) -> None:
    """For example a replica that took over and was 20 s behind. Nothing is forgotten."""
    worker = await with_checkpoints(4, p0=9)
    for group in older:
        worker.timelines._checkpoints[group][0] = 3 + group
    await worker.timelines.begin_rebuild(READER, b"12345678")

    await worker.checkpoints.ensure(0, 9, always)

    assert worker.applied == [(0, offset) for offset in range(3 + min(older), 9)]
    assert await worker.timelines.checkpoints_by_group([0]) == [{0: 9}] * 4
    assert await worker.timelines.read(READER) is not None


@pytest.mark.law("L8")
async def test_a_worker_may_die_between_the_checkpoints_of_two_groups() -> None:
    """Its records are applied in every group then, and not committed. The others get the checkpoint, too."""
    worker = await with_checkpoints(4, p0=5)
    assert await worker.timelines.save_checkpoint(0, 9, expected=5, groups=[3, 2])
    assert await worker.stored() == {partition: 5 if partition == 0 else 0 for partition in range(8)}

    await worker.checkpoints.ensure(0, 5, always)

    assert worker.applied == [(0, offset) for offset in range(5, 9)]
    assert await worker.timelines.checkpoints_by_group([0]) == [{0: 9}] * 4
    await worker.checkpoints.advance(0, 9, always)


@pytest.mark.law("L8")
async def test_one_group_that_differs_is_found_by_the_next_batch_and_by_the_watch() -> None:
    worker = await with_checkpoints(4, p0=9)
    await worker.checkpoints.ensure(0, 9, always)
    worker.timelines._checkpoints[1][0] = 7
    await worker.checkpoints.advance(0, 12, always)
    assert worker.applied == [(0, offset) for offset in range(7, 12)]
    assert await worker.timelines.checkpoints_by_group([0]) == [{0: 12}] * 4

    worker.applied.clear()
    worker.timelines._checkpoints[3][0] = 11
    worker.commit(0, 12)
    await worker.checkpoints.watch_once()

    assert (0, 11) in worker.applied
    assert await worker.timelines.checkpoints_by_group([0]) == [{0: 12}] * 4
