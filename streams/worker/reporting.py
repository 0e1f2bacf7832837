"""A worker says every few seconds how it is: the monitor knows of it what it has said last, and when."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import NoReturn

from prometheus_client import Histogram

from streams.clock import unix_ms
from streams.core.workers.buckets import Buckets, Window
from streams.core.workers.report import GroupWork, WorkerReport, restarts
from streams.errors import StoreUnavailable
from streams.gathering import run_together
from streams.kafka.consuming.progress import Progress
from streams.metrics import DECODE_COST, HANDLING, LOOP_DELAY
from streams.polling import poll
from streams.ports.coordination import WorkerReports
from streams.settings import WorkerReportSettings

WINDOW_S = 60.0
# Between two looks at the clock of the event loop: ten a second find every delay that posts would notice.
DELAY_LOOK_S = 0.1
LEAVE_S = 1.0  # The end of a process must not wait for Cassandra.
_DELAY = "event loop"
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class WorkerReporter:
    """Reports of this process. `lanes` has the lane of each group that decodes. `clock_s` is monotonic."""

    settings: WorkerReportSettings
    reports: WorkerReports
    progress: Progress
    lanes: Mapping[str, str]
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    _window: Window = field(default_factory=lambda: Window(WINDOW_S), init=False)
    _started_ms: int = field(init=False)
    # None until it is known what the process before this one said.
    _restarts_ms: tuple[int, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._started_ms = self.clock_ms()

    async def run(self) -> None:
        """Report until cancelled, through outages of Cassandra."""

        async def report() -> None:
            await poll(
                self.report, self.settings.worker_report_s, log=log, failure="this worker could not report"
            )

        await run_together(report, self._watch_event_loop)

    async def report(self) -> None:
        """Say how this process is.

        Raises:
            StoreUnavailable: The report is not stored.
        """
        worker = self.settings.process
        if self._restarts_ms is None:
            self._restarts_ms = restarts(await self.reports.of(worker), self._started_ms)
        counted = self._window.add(self.clock_s(), _readings())
        delay = counted[_DELAY].quantile(0.99)
        report = WorkerReport(
            worker=worker,
            at_ms=self.clock_ms(),
            started_ms=self._started_ms,
            restarts_ms=self._restarts_ms,
            loop_delay_ms=_ms(delay),
            groups=tuple(self._work(counted)),
        )
        await self.reports.put(report, life_s=self.settings.worker_forgotten_s)

    async def leave(self) -> None:
        """Say that this process ends in order, if that takes no time: nobody misses it then."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self.reports.forget(self.settings.process)

    def _work(self, counted: Mapping[str, Buckets]) -> Iterator[GroupWork]:
        in_flight = self.progress.in_flight()
        for group in sorted(in_flight):
            handled = counted.get(_handling(group))
            decoded = counted.get(_decoding(self.lanes.get(group, "")))
            yield GroupWork(
                group=group,
                batches=0 if handled is None else handled.count,
                p50_ms=None if handled is None else _ms(handled.quantile(0.5)),
                p99_ms=None if handled is None else _ms(handled.quantile(0.99)),
                in_flight=in_flight[group],
                ms_per_megapixel=None if decoded is None else _ms(decoded.mean()),
            )

    async def _watch_event_loop(self) -> NoReturn:
        while True:
            due_s = self.clock_s() + DELAY_LOOK_S
            await asyncio.sleep(DELAY_LOOK_S)
            LOOP_DELAY.observe(max(0.0, self.clock_s() - due_s))


def _handling(group: str) -> str:
    return f"handling {group}"


def _decoding(lane: str) -> str:
    return f"decoding {lane}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 3)


def _readings() -> dict[str, Buckets]:
    """Return what the histograms of this process have counted, by the names that `_work` looks for."""
    readings = {_DELAY: _read(LOOP_DELAY)[""]}
    readings |= {_handling(group): buckets for group, buckets in _read(HANDLING).items()}
    readings |= {_decoding(lane): buckets for lane, buckets in _read(DECODE_COST).items()}
    return readings


def _read(histogram: Histogram) -> dict[str, Buckets]:
    """Return the buckets of a histogram by the value of its label, of which it has one at most."""
    counts: dict[str, list[tuple[float, float]]] = {}
    totals: dict[str, float] = {}
    for sample in next(iter(histogram.collect())).samples:
        label = next((value for name, value in sample.labels.items() if name != "le"), "")
        if sample.name.endswith("_bucket"):
            counts.setdefault(label, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            totals[label] = sample.value
    return {
        label: Buckets([bound for bound, _ in pairs], [count for _, count in pairs], totals[label])
        for label, pairs in counts.items()
    }
