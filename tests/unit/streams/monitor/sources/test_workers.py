"""The monitor tells a worker that is silent from one that nobody could hear."""

import pytest

from streams.core.workers.report import WorkerReport
from streams.errors import StoreUnavailable
from streams.monitor.sources import workers as module
from streams.monitor.sources.workers import Workers
from streams.stores.memory.coordination import MemoryWorkerReports

START_MS = 1_800_000_000_000


class World:
    """Workers that report, and a monitor that reads; `now_s` is of the monitor's clocks."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.reports = MemoryWorkerReports(lambda: START_MS)
        self.workers = Workers(
            reports=self.reports,
            silent_s_max=15,
            stale_s=15,
            clock_ms=lambda: START_MS + int(self.now_s * 1_000),
            clock_s=lambda: self.now_s,
        )

    async def report(self, worker: str, *, clock_is_ahead_s: float = 0) -> None:
        at_ms = START_MS + int((self.now_s + clock_is_ahead_s) * 1_000)
        await self.reports.put(WorkerReport(worker=worker, at_ms=at_ms), life_s=3_600)

    async def read_at(self, now_s: float) -> None:
        self.now_s = now_s
        await self.workers.read()

    def states(self) -> dict[str, tuple[str, float]]:
        return {known["worker"]: (known["state"], known["age_s"]) for known in self.workers.json() or ()}


async def test_before_the_first_reading_nothing_is_known() -> None:
    world = World()
    assert world.workers.json() is None
    await world.workers.read()

    assert [] == world.workers.json()


async def test_a_worker_that_says_nothing_more_is_silent() -> None:
    """The other one goes on. The age is of the last word, however often that is read."""
    world = World()
    await world.report("dead")
    for now_s in range(0, 25, 5):
        world.now_s = now_s
        await world.report("alive")
        await world.read_at(now_s)

    assert {"alive": ("OK", 0), "dead": ("SILENT", 20)} == world.states()


async def test_if_the_reports_are_not_read_nobody_is_called_silent() -> None:
    """Cassandra does not respond to the monitor, and perhaps to the workers."""
    world = World()
    await world.report("worker-1")
    await world.read_at(1)
    world.now_s = 17

    assert {"worker-1": ("NO-DATA", 17)} == world.states()


async def test_a_failed_reading_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.report("worker-1")
    await world.read_at(1)

    async def fail(*, reports_max: int) -> None:
        raise StoreUnavailable("cassandra", "rows", "down")

    monkeypatch.setattr(world.reports, "last", fail)
    with pytest.raises(StoreUnavailable):
        await world.read_at(3)

    assert (1.0, {"worker-1": ("OK", 3)}) == (world.workers.read_s, world.states())


@pytest.mark.parametrize("ahead_s", [600, -600])
async def test_a_worker_with_a_wrong_clock_is_silent_when_it_says_nothing(ahead_s: float) -> None:
    """And not ten minutes later, or while it reports."""
    world = World()
    for now_s in (0, 5, 10):
        world.now_s = now_s
        await world.report("worker-1", clock_is_ahead_s=ahead_s)
        await world.read_at(now_s)
    assert {"worker-1": ("OK", 0)} == world.states()
    await world.read_at(26)

    assert {"worker-1": ("SILENT", 16)} == world.states()


async def test_what_was_said_long_before_the_monitor_began_is_old() -> None:
    world = World()
    await world.report("worker-1")
    await world.read_at(1_000)

    assert {"worker-1": ("SILENT", 1_000)} == world.states()


async def test_only_so_many_workers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORKERS_MAX", 2)
    world = World()
    for number in range(3):
        await world.report(f"worker-{number}")
    await world.read_at(1)

    assert ["worker-0", "worker-1"] == list(world.states())
