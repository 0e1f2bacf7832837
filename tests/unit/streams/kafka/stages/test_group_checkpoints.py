"""Batches of the normal lane do not wait for one server of a cluster, and it gets what it lacks later."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.traffic.waiting import eventually
from schemas.envelope import Record
from schemas.ids import UserId
from streams.core import ring
from streams.core.checkpoints import group_of
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.settings import FanoutSettings
from tests.simulation.nodes import GROUP, GROUPS, PARTITION, READERS, SERVERS, TOPIC, Log, Worker, World

AWAY, HERE = 0, 1
READERS_OF = {
    server: [reader for reader in READERS if group_of(reader, GROUPS) in groups]
    for server, groups in enumerate(SERVERS)
}


def always() -> bool:
    return True


async def new_world() -> tuple[World, Worker]:
    """A world in which each reader has a timeline, and every group is at the same position."""
    world = World(FanoutSettings(timelines_wait_ms_max=50))
    await world.begin()
    worker = world.workers[0]
    await worker.checkpoints.watch_once()
    await worker.checkpoints.catch_up_once()
    for reader in READERS:
        await world.rebuild(reader)
    return world, worker


async def handle(world: World, worker: Worker) -> None:
    """Publish a post, handle it, and commit."""
    await world.post()
    async with asyncio.timeout(10):
        await worker.checkpoints.handle(world.log.records[-1:], always)
    world.offsets.commit_of[GROUP, TOPIC, PARTITION] = len(world.log.records)


async def posts_of(world: World, reader: UserId) -> int:
    value = await world.timelines.read(reader)
    assert value is not None
    return len(ring.parse(value).ids)


@pytest.mark.law("L7")
@pytest.mark.law("L8")
async def test_a_server_that_hangs_delays_no_batch_and_catches_up() -> None:
    """It is waited for once, and no longer after that; its checkpoint says what it lacks."""
    world, worker = await new_world()
    world.timelines.hangs.add(AWAY)
    for _ in range(3):
        await handle(world, worker)
    assert {await posts_of(world, reader) for reader in READERS_OF[HERE]} == {3}
    assert worker.checkpoints.behind(PARTITION) == frozenset(SERVERS[AWAY])
    assert not worker.checkpoints.is_verified()

    world.timelines.hangs.clear()
    assert {await posts_of(world, reader) for reader in READERS_OF[AWAY]} == {0}
    assert await world.timelines.checkpoints_by_group([PARTITION]) == [{0: 0}, {0: 0}, {0: 3}, {0: 3}]
    await worker.checkpoints.catch_up_once()

    assert {await posts_of(world, reader) for reader in READERS} == {3}
    assert await world.timelines.checkpoints_by_group([PARTITION]) == [{0: 3}] * GROUPS
    assert worker.checkpoints.is_verified()


async def test_a_server_that_is_left_out_is_not_asked_by_batches() -> None:
    """Otherwise each batch would wait for it."""
    world, worker = await new_world()
    world.timelines.away.add(AWAY)
    await handle(world, worker)
    world.timelines.asked.clear()
    await handle(world, worker)

    assert world.timelines.asked == {HERE}


@dataclass(slots=True)
class BusyLog(Log):
    """A log of which records are handled while it is read."""

    meanwhile: list[int] = field(default_factory=list)
    world: World | None = None

    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        assert self.world is not None
        if not self.meanwhile:
            self.meanwhile.append(end)
            await handle(self.world, self.world.workers[0])
        yield self.records[begin:end]


@pytest.mark.law("L8")
async def test_batches_go_on_while_a_server_catches_up() -> None:
    """It has what they applied, too, before it counts as caught up."""
    world, worker = await new_world()
    world.timelines.away.add(AWAY)
    await handle(world, worker)
    await handle(world, worker)
    world.timelines.away.clear()
    worker.checkpoints.records = log = BusyLog(world=world)
    log.records = world.log.records

    async with asyncio.timeout(10):
        await worker.checkpoints.catch_up_once()

    assert log.meanwhile == [2]
    assert {await posts_of(world, reader) for reader in READERS} == {3}
    assert await world.timelines.checkpoints_by_group([PARTITION]) == [{0: 3}] * GROUPS
    assert not worker.checkpoints.behind(PARTITION)


async def test_what_a_server_has_already_is_not_there_twice_after_it_caught_up() -> None:
    """It was only slow: its script was executed, and its reply came too late. No slot is wasted."""
    world, worker = await new_world()
    world.timelines.fails_next.add(AWAY)
    await handle(world, worker)
    assert worker.checkpoints.behind(PARTITION) == frozenset(SERVERS[AWAY])
    before = {reader: await world.timelines.read(reader) for reader in READERS}

    await worker.checkpoints.catch_up_once()

    assert {reader: await world.timelines.read(reader) for reader in READERS} == before


@pytest.mark.law("L8")
async def test_a_server_that_came_back_older_is_found_although_nothing_is_published() -> None:
    """By the watch, within a second."""
    world, worker = await new_world()
    world.timelines.save(AWAY)
    await handle(world, worker)
    world.timelines.come_back_older(AWAY)
    await worker.checkpoints.watch_once()
    assert worker.checkpoints.behind(PARTITION) == frozenset(SERVERS[AWAY])

    await worker.checkpoints.catch_up_once()
    assert {await posts_of(world, reader) for reader in READERS} == {1}


@pytest.mark.law("L8")
async def test_a_server_that_did_not_store_its_checkpoint_is_behind() -> None:
    """It may have been replaced by one without the batch."""
    world, worker = await new_world()
    save = world.timelines.save_checkpoint

    async def fails(*args: Any, groups: Collection[int], **named: Any) -> bool:
        if set(groups) & set(SERVERS[AWAY]):
            raise StoreUnavailable("redis", "checkpoint", "a test said so")
        return await save(*args, groups=groups, **named)

    world.timelines.save_checkpoint = fails  # type: ignore[method-assign, assignment]
    await handle(world, worker)

    assert worker.checkpoints.behind(PARTITION) == frozenset(SERVERS[AWAY])


@pytest.mark.law("L7")
async def test_a_batch_that_no_server_takes_is_not_committed() -> None:
    """It waits, as with a single server."""
    world, worker = await new_world()
    world.timelines.away |= {AWAY, HERE}
    await world.post()
    with pytest.raises(PartitionRevoked):
        await worker.checkpoints.handle(world.log.records, lambda: False)
    waiting = asyncio.create_task(worker.checkpoints.handle(world.log.records, always))
    await asyncio.sleep(0)
    assert not waiting.done()

    world.timelines.away.clear()
    await eventually("the batch is applied", waiting.done)
    assert {await posts_of(world, reader) for reader in READERS} == {1}


async def test_a_database_that_fails_leaves_no_server_out() -> None:
    """The followers are read again; that says nothing about the timelines."""
    world, worker = await new_world()
    failures = [StoreUnavailable("cassandra", "members", "a test said so")]
    members = world.stores.counted_sets.members

    async def failing(*args: object) -> object:
        if failures:
            raise failures.pop()
        return await members(*args)  # type: ignore[arg-type]

    world.stores.counted_sets.members = failing  # type: ignore[method-assign, assignment]
    await handle(world, worker)

    assert not failures
    assert not worker.checkpoints.behind(PARTITION)
    assert {await posts_of(world, reader) for reader in READERS} == {1}
