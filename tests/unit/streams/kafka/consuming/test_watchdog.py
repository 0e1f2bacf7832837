"""The watchdog ends a process whose consumer is behind and does not move, and no other."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.watchdog import Watchdog
from streams.stores.memory.coordination import MemoryStuckPartitions
from tests.worlds.kafka import FakeOffsets

PARTITION = GroupPartition("check", "likes", 0)
LOG = ("likes", 0)
STUCK_LABELS = {"group": "check", "topic": "likes", "partition": "0"}


class Watched:
    """A process with one partition, its broker, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.offsets = FakeOffsets()
        self.errors: list[BaseException] = []
        self.progress = Progress(clock_s=lambda: self.now_s)
        self.progress.own("check", {PARTITION})
        self.stuck = MemoryStuckPartitions(lambda: int(self.now_s * 1_000))
        self.watchdog = self.new_watchdog()

    def new_watchdog(self) -> Watchdog:
        return Watchdog(self.progress, self.offsets, self.stuck, 60.0, self.errors.append)

    def start_again(self, position: int) -> None:
        """A new process owns the partition, and handles the record before `position`."""
        self.errors.clear()
        self.progress = Progress(clock_s=lambda: self.now_s)
        self.progress.own("check", {PARTITION})
        self.progress.handled(PARTITION, position)
        self.watchdog = self.new_watchdog()

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
    """If its position moves, the process goes on, however far behind the consumer is."""
    watched.offsets.end_of[LOG] = 1_000
    for position in range(3):
        watched.progress.handled(PARTITION, position)
        await watched.look_after(61)

    assert [] == watched.errors


async def test_a_consumer_that_never_began_is_measured_from_its_commit(watched: Watched) -> None:
    """While all is committed, it is not stuck; if a record comes then and is not read, it is."""
    watched.offsets.commit_of["check", *LOG] = watched.offsets.end_of[LOG] = 9
    for _ in range(3):
        await watched.look_after(61)
    assert [] == watched.errors
    watched.offsets.end_of[LOG] = 10
    for _ in range(3):
        await watched.look_after(30)

    assert 1 == len(watched.errors)


async def test_a_broker_that_is_away_is_no_reason_to_end(watched: Watched) -> None:
    """Without the broker nothing is known about the consumers, which may be waiting for it, too."""
    watched.progress.handled(PARTITION, 5)
    watched.offsets.end_of[LOG] = 9
    await watched.look_after(0)
    watched.offsets.is_down = True
    with pytest.raises(StoreUnavailable):
        await watched.look_after(61)

    assert [] == watched.errors


async def test_the_watchdog_goes_on_looking_after_a_broker_was_away(watched: Watched) -> None:
    """One failed look must not end the watchdog, which runs as long as the process."""
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


@pytest.mark.parametrize(
    ("begin", "position", "end", "empty"),
    [
        pytest.param(0, 5, 6, {5}, id="a control record at the end"),
        pytest.param(0, 5, 9, {5, 6, 7, 8}, id="an aborted transaction at the end"),
        pytest.param(9, 5, 9, set[int](), id="a log that holds nothing any more"),
        pytest.param(9, None, 9, set[int](), id="no commit, and a log that holds nothing any more"),
    ],
)
async def test_offsets_without_a_record_are_not_work(
    watched: Watched, begin: int, position: int | None, end: int, empty: set[int]
) -> None:
    """No consumer ever gets past them until another record arrives."""
    watched.offsets.begin_of[LOG], watched.offsets.end_of[LOG] = begin, end
    watched.offsets.empty_of[LOG] = empty
    if position is not None:
        watched.progress.handled(PARTITION, position)
    for _ in range(5):
        await watched.look_after(61)
    assert [] == watched.errors

    watched.offsets.end_of[LOG] += 1
    await watched.look_after(5)
    await watched.look_after(61)
    assert 1 == len(watched.errors)


async def test_a_partition_that_new_processes_do_not_cure_is_given_up_alone(watched: Watched) -> None:
    """Ending the process without end would stop the other partitions, too. The metric says so."""
    watched.offsets.end_of[LOG] = 9
    for _ in range(2):
        watched.start_again(5)
        await watched.look_after(0)
        await watched.look_after(61)
        assert 1 == len(watched.errors)
    watched.start_again(5)
    for _ in range(4):
        await watched.look_after(61)

    assert [] == watched.errors
    assert 1 == REGISTRY.get_sample_value("shutterline_stuck_partitions", STUCK_LABELS)


async def test_a_partition_that_moves_again_is_watched_again(watched: Watched) -> None:
    """The next time that it stands still is another place, and begins with a new process."""
    watched.offsets.end_of[LOG] = 9
    for _ in range(3):
        watched.start_again(5)
        for _ in range(3):
            await watched.look_after(61)
    watched.progress.handled(PARTITION, 6)
    await watched.look_after(5)
    assert 0 == REGISTRY.get_sample_value("shutterline_stuck_partitions", STUCK_LABELS)

    await watched.look_after(61)
    assert 1 == len(watched.errors)


async def test_what_open_transactions_hold_back_is_a_metric(watched: Watched) -> None:
    """It waits for its publisher, not for this consumer: nothing is stuck."""
    watched.progress.handled(PARTITION, 5)
    watched.offsets.end_of[LOG], watched.offsets.held_back_of[LOG] = 5, 3
    for _ in range(3):
        await watched.look_after(61)

    assert [] == watched.errors
    labels = {"topic": "likes", "partition": "0"}
    assert 3 == REGISTRY.get_sample_value("shutterline_held_back_records", labels)


def layers() -> tuple[float | None, float | None]:
    """What is exported as unfetched and in flight."""
    name, labels = "shutterline_consumer_lag_messages", {**STUCK_LABELS, "lane": ""}
    unfetched, in_flight = (
        REGISTRY.get_sample_value(name, {**labels, "layer": layer}) for layer in ("unfetched", "in_flight")
    )
    return unfetched, in_flight


async def test_the_layers_of_the_lag_are_exported_of_what_is_owned(watched: Watched) -> None:
    """What is not fetched, and what is fetched and not committed; before a fetch all is not fetched."""
    watched.offsets.end_of[LOG] = 9
    watched.offsets.commit_of["check", "likes", 0] = 4
    await watched.look_after(0)
    assert (5, 0) == layers()

    watched.progress.fetched(PARTITION, 7)
    await watched.look_after(1)
    assert (2, None) == layers()
    watched.progress.committed(PARTITION, 4)
    watched.progress.handled(PARTITION, 6)
    await watched.look_after(1)
    assert (2, 3) == layers()

    watched.progress.fetched(PARTITION, None)
    await watched.look_after(1)
    assert (3, 0) == layers()
    watched.progress.own("check", set())
    await watched.look_after(1)
    assert (None, None) == layers()


async def test_offsets_without_a_record_are_in_no_layer(watched: Watched) -> None:
    """They are skipped, and the position with them."""
    watched.offsets.end_of[LOG], watched.offsets.empty_of[LOG] = 9, {7, 8}
    watched.progress.handled(PARTITION, 7)
    watched.progress.fetched(PARTITION, 7)
    watched.progress.committed(PARTITION, 7)
    await watched.look_after(0)
    await watched.look_after(1)

    assert (0, 0) == layers()


async def test_without_the_broker_the_layers_are_not_known(watched: Watched) -> None:
    watched.progress.handled(PARTITION, 5)
    await watched.look_after(0)
    assert (0, 0) == layers()

    watched.offsets.is_down = True
    watched.watchdog.look_s = 0.001
    running = asyncio.create_task(watched.watchdog.run())
    await eventually("no sample is left", lambda: layers() == (None, None))
    running.cancel()
