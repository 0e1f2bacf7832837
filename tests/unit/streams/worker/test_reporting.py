"""A worker reports what its histograms counted, and how often it was started again."""

import asyncio
from time import monotonic
from typing import Any, cast

import pytest

from bench.traffic.waiting import eventually
from streams.core.workers.report import WorkerReport
from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.metrics import DECODE_COST, HANDLING, LOOP_DELAY
from streams.ports.coordination import WorkerReports
from streams.settings import WorkerReportSettings
from streams.stores.memory.coordination import MemoryWorkerReports
from streams.worker.process import Process
from streams.worker.reporting import WorkerReporter
from streams.worker.run import _run

NOW_MS = 1_800_000_000_000
SETTINGS = WorkerReportSettings(process="media-7")


class World:
    def __init__(self) -> None:
        for histogram in (HANDLING, DECODE_COST):
            histogram.clear()
        self.now_s, self.now_ms = 0.0, NOW_MS
        self.progress = Progress()
        self.reports = MemoryWorkerReports(lambda: self.now_ms)

    def process(self) -> WorkerReporter:
        return WorkerReporter(
            settings=SETTINGS,
            reports=self.reports,
            progress=self.progress,
            lanes={"renditions-full": "full"},
            clock_ms=lambda: self.now_ms,
            clock_s=lambda: self.now_s,
        )

    async def said(self) -> WorkerReport:
        report = await self.reports.of("media-7")
        assert report is not None
        return report


@pytest.fixture
def world() -> World:
    return World()


async def test_a_report_has_the_last_minute_of_each_group(world: World) -> None:
    """Of a group whose partitions are elsewhere now, nothing is said."""
    partition = GroupPartition("renditions-full", "renditions", 3)
    world.progress.own("renditions-full", {partition})
    world.progress.own("check", {GroupPartition("check", "likes", 0)})
    world.progress.fetched(partition, 120)
    world.progress.committed(partition, 100)
    for seconds in (0.3, 0.4, 40.0):
        HANDLING.labels("renditions-full").observe(seconds)
    HANDLING.labels("renditions-thumbnail").observe(1)
    DECODE_COST.labels("full").observe(0.060)
    DECODE_COST.labels("full").observe(0.064)
    DECODE_COST.labels("thumbnail").observe(9)
    process = world.process()
    await process.report()
    check, full = (await world.said()).groups

    assert ("check", 0, None, None, 0, None) == (
        check.group,
        check.batches,
        check.p50_ms,
        check.p99_ms,
        check.in_flight,
        check.ms_per_megapixel,
    )
    assert ("renditions-full", 3, 20, 62.0) == (
        full.group,
        full.batches,
        full.in_flight,
        full.ms_per_megapixel,
    )
    assert 250 <= (full.p50_ms or 0) <= 500
    assert 30_000 <= (full.p99_ms or 0) <= 60_000

    world.now_s = 61
    await process.report()
    world.now_s = 122
    await process.report()

    assert (0, None) == ((after := (await world.said()).groups[1]).batches, after.p99_ms)


async def test_a_process_that_was_killed_has_been_restarted(world: World) -> None:
    """One that ended in order has not."""
    first = world.process()
    for _ in range(2):
        await first.report()
    assert () == (await world.said()).restarts_ms
    world.now_ms += 60_000
    await world.process().report()
    assert (NOW_MS + 60_000,) == (await world.said()).restarts_ms
    world.now_ms += 60_000
    third = world.process()
    await third.report()
    assert 2 == len((await world.said()).restarts_ms)
    await third.leave()
    assert await world.reports.of("media-7") is None
    await world.process().report()

    assert () == (await world.said()).restarts_ms


class _Away(MemoryWorkerReports):
    """Cassandra, which fails until `is_back`."""

    is_back = False

    async def of(self, worker: str) -> WorkerReport | None:
        if not self.is_back:
            raise StoreUnavailable("cassandra", "rows", "down")
        return await super().of(worker)


async def test_a_restart_while_cassandra_was_away_is_one(world: World) -> None:
    """Nobody knows of the process before it until Cassandra is back."""
    world.reports = away = _Away(lambda: world.now_ms)
    await away.put(WorkerReport(worker="media-7", at_ms=NOW_MS - 1), life_s=3_600)
    process = world.process()
    with pytest.raises(StoreUnavailable):
        await process.report()
    away.is_back = True
    world.now_ms += 30_000
    await process.report()

    assert (NOW_MS, (NOW_MS,)) == ((said := await world.said()).started_ms, said.restarts_ms)


class _Hanging:
    """Cassandra does not respond at all."""

    async def forget(self, worker: str) -> None:
        await asyncio.Event().wait()


async def test_an_end_does_not_wait_for_cassandra(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.reporting.LEAVE_S", 0.01)
    process = world.process()
    process.reports = cast(WorkerReports, _Hanging())

    async with asyncio.timeout(5):
        await process.leave()


async def test_a_blocked_event_loop_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For 50 ms nothing else could run, and the report says so."""
    monkeypatch.setattr("streams.worker.reporting.DELAY_LOOK_S", 0.001)
    process = world.process()
    process.clock_s = monotonic
    await process.report()
    looks = _looks()
    running = asyncio.create_task(process.run())
    await eventually("it looks at the clock", lambda: _looks() > looks)
    until_s, looks = monotonic() + 0.05, _looks()
    while monotonic() < until_s:
        pass
    await eventually("it looks again", lambda: _looks() > looks)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await process.report()

    delay_ms = (await world.said()).loop_delay_ms
    assert delay_ms is not None
    assert delay_ms >= 25
    late = {sample.labels["le"]: sample.value for sample in _samples() if sample.name.endswith("_bucket")}
    assert late["+Inf"] > late["0.025"]


def _samples() -> list[Any]:
    return list(next(iter(LOOP_DELAY.collect())).samples)


def _looks() -> float:
    return float(next(sample.value for sample in _samples() if sample.name.endswith("_count")))


@pytest.mark.parametrize("ends_by_signal", [True, False])
async def test_only_an_end_by_a_signal_is_one_in_order(world: World, ends_by_signal: bool) -> None:
    """After a bug the report stays, so that the worker is silent, and its next start is a restart."""
    reporter = world.process()
    await reporter.report()

    class Running:
        async def run(self) -> None:
            if ends_by_signal:
                raise asyncio.CancelledError
            raise RuntimeError("a bug")

    with pytest.raises(asyncio.CancelledError if ends_by_signal else RuntimeError):
        await _run(cast(Process, Running()), reporter)

    assert (await world.reports.of("media-7") is None) is ends_by_signal
