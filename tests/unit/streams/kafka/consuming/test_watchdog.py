"""The watchdog ends a process whose consumer is behind and does not move, and no other."""

import asyncio

import pytest

from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.watchdog import Watchdog
from tests.worlds.kafka import FakeOffsets

PARTITION = GroupPartition("check", "likes", 0)
LOG = ("likes", 0)


class Watched:
    """A process with one partition, its broker, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.offsets = FakeOffsets()
        self.errors: list[BaseException] = []
        self.progress = Progress(clock_s=lambda: self.now_s)
        self.progress.own("check", {PARTITION})
        self.watchdog = Watchdog(self.progress, self.offsets, 60.0, self.errors.append)

    async def look_after(self, seconds: float) -> None:
        self.now_s += seconds
        await self.watchdog.look()


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_consumer_that_is_behind_and_does_not_move_ends_the_process(watched: Watched) -> None:
    """The error names the group and the partition."""
    watched.progress.handled(PARTITION, 5)
    watched.offsets.end_of[LOG] = 9
    await watched.look_after(0)
    await watched.look_after(60)
    assert [] == watched.errors
    await watched.look_after(1)

    [error] = watched.errors
    assert "no progress for 60 s" in str(error)
    assert "check likes/0" in str(error)


async def test_a_consumer_that_moves_does_not(watched: Watched) -> None:
    """However far behind it is."""
    watched.offsets.end_of[LOG] = 1_000
    for position in range(3):
        watched.progress.handled(PARTITION, position)
        await watched.look_after(61)

    assert [] == watched.errors


async def test_a_consumer_that_never_began_is_measured_from_its_commit(watched: Watched) -> None:
    """Everything is committed: nothing waits. Then a record comes and nobody reads it."""
    watched.offsets.commit_of["check", *LOG] = watched.offsets.end_of[LOG] = 9
    for _ in range(3):
        await watched.look_after(61)
    assert [] == watched.errors
    watched.offsets.end_of[LOG] = 10
    for _ in range(3):
        await watched.look_after(30)

    assert 1 == len(watched.errors)


async def test_a_broker_that_is_away_is_no_reason_to_end(watched: Watched) -> None:
    """Nothing is known about the consumers, and their stores may wait for the same broker."""
    watched.progress.handled(PARTITION, 5)
    watched.offsets.end_of[LOG] = 9
    await watched.look_after(0)
    watched.offsets.is_down = True
    with pytest.raises(StoreUnavailable):
        await watched.look_after(61)

    assert [] == watched.errors


async def test_the_watchdog_goes_on_looking_after_a_broker_was_away(watched: Watched) -> None:
    """It runs beside the consumers until the process ends."""
    watched.watchdog.look_s = 0.0
    watched.offsets.commit_of["check", *LOG] = 5
    watched.offsets.is_down = True
    running = asyncio.create_task(watched.watchdog.run())
    await eventually("three looks", lambda: watched.offsets.questions >= 3 or running.done())

    watched.offsets.is_down = False
    watched.offsets.end_of[LOG] = 9
    await eventually("a look at the commit", lambda: watched.progress.unknown() == [] or running.done())
    for _ in range(3):
        await asyncio.sleep(0)
    watched.now_s += 61
    await eventually("the end of the process", lambda: watched.errors or running.done())
    running.cancel()

    assert "no progress" in str(watched.errors[0])
