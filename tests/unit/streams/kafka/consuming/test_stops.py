"""No worker handles a stopped partition until its group is resumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.ports.coordination import Stop
from streams.settings import RetrySettings
from streams.stores.memory.coordination import MemoryStoppedPartitions

NOW_MS = 1_800_000_000_000
PARTITION, OTHER = GroupPartition("check", "likes", 0), GroupPartition("check", "likes", 1)


class CountingStops(MemoryStoppedPartitions):
    """Counts the reads of the stops; every read sets `asked`."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.asked = asyncio.Event()

    async def stops(self, group: str) -> list[Stop]:
        self.questions += 1
        self.asked.set()
        return await super().stops(group)

    async def asked_again(self, times: int = 3) -> None:
        """Return when the stops have been read `times` more times."""
        async with asyncio.timeout(10):
            for _ in range(times):
                self.asked.clear()
                await self.asked.wait()


@dataclass(slots=True)
class Worker:
    """One worker process; the store is shared by all of them."""

    store: CountingStops
    is_assigned: bool = True
    progress: Progress = field(default_factory=Progress)
    stops: Stops = field(init=False)

    def __post_init__(self) -> None:
        self.progress.own("check", {PARTITION, OTHER})
        self.stops = Stops(RetrySettings(), self.store, self.progress, clock_ms=lambda: NOW_MS, poll_s=0.0)

    async def wait(self, partition: GroupPartition = PARTITION, generation: int = 1) -> None:
        await self.stops.wait(partition, generation, lambda: self.is_assigned)

    async def stop(self) -> None:
        await self.stops.stop(PARTITION, 7, "5 in a row", lambda: self.is_assigned)
        await self.wait()


@pytest.fixture
def worker() -> Worker:
    return Worker(CountingStops())


@asynccontextmanager
async def stopped(worker: Worker) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the block while the worker has stopped the partition and waits."""
    task = asyncio.create_task(worker.stop())
    try:
        await worker.store.asked_again()
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, PartitionRevoked):
            await task


async def test_a_stop_is_stored_with_its_position_and_reason(worker: Worker) -> None:
    """So an operator sees at which offset the partition stopped, why, and since when."""
    async with stopped(worker):
        expected = Stop(
            group="check", topic="likes", partition=0, position=7, reason="5 in a row", since_ms=NOW_MS
        )

        assert [expected] == await worker.store.stops("check")


async def test_a_stopped_partition_waits_until_its_group_is_resumed(worker: Worker) -> None:
    """The worker polls the store; meanwhile the watchdog does not count the partition as stuck."""
    async with stopped(worker) as waiting:
        assert not waiting.done()
        assert not worker.progress.stuck({PARTITION: 99}, -1.0)
        await worker.store.resume("check")
        async with asyncio.timeout(10):
            await waiting


async def test_a_stop_outlives_its_process(worker: Worker) -> None:
    """The next owner of the partition waits, too."""
    async with stopped(worker):
        pass
    waiting = asyncio.create_task(Worker(worker.store).wait())
    await worker.store.asked_again()

    assert not waiting.done()
    await worker.store.resume("check")
    async with asyncio.timeout(10):
        await waiting


async def test_other_partitions_of_the_group_go_on(worker: Worker) -> None:
    """A stop blocks only one partition."""
    async with stopped(worker), asyncio.timeout(10):
        await worker.wait(OTHER)


async def test_a_worker_stops_waiting_when_its_partition_is_revoked(worker: Worker) -> None:
    """The next owner finds the stop, which stays stored."""
    async with stopped(worker) as waiting:
        worker.is_assigned = False
        with pytest.raises(PartitionRevoked):
            async with asyncio.timeout(10):
                await waiting

    assert [7] == [stop.position for stop in await worker.store.stops("check")]


async def test_the_store_is_asked_once_a_generation(worker: Worker) -> None:
    """So not every batch costs a read, and a new owner always reads."""
    await worker.wait(generation=1)
    await worker.wait(generation=1)
    assert 1 == worker.store.questions
    await worker.wait(generation=2)

    assert 2 == worker.store.questions
