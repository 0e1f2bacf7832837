"""What the workers have said of themselves, and for how long each has been silent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.core.workers.report import Json, WorkerReport, known_of
from streams.ports.coordination import WorkerReports

# The first of them by name; of the largest profile there are some hundred.
WORKERS_MAX = 1_000


@dataclass(slots=True, kw_only=True)
class Workers:
    """Reads `reports`; what was read more than `stale_s` ago is not known any more.

    The age of a report is measured by `clock_s`, which is monotonic, from when it was first read, because the
    clock of its worker may be wrong. The age of one that was there before this process is by `clock_ms`.
    """

    reports: WorkerReports
    silent_s_max: float
    stale_s: float
    clock_ms: Callable[[], int]
    clock_s: Callable[[], float]
    read_s: float = field(default=float("-inf"), init=False)
    # By worker: its last report, and when it reported.
    _last: dict[str, tuple[WorkerReport, float]] = field(default_factory=dict, init=False)

    async def read(self) -> None:
        """Read the last report of each worker.

        Raises:
            StoreUnavailable: Cassandra did not respond; what was read before grows old.
        """
        began_s = self.clock_s()
        reports = await self.reports.last(reports_max=WORKERS_MAX)
        self._last = {report.worker: (report, self._reported_s(report, began_s)) for report in reports}
        self.read_s = began_s

    def json(self) -> Sequence[Json] | None:
        """Return what is known of each worker; None before the first reading."""
        if self.read_s == float("-inf"):
            return None
        now_s, now_ms = self.clock_s(), self.clock_ms()
        return [
            known_of(
                report,
                age_s=now_s - reported_s,
                now_ms=now_ms,
                silent_s_max=self.silent_s_max,
                is_read=now_s - self.read_s <= self.stale_s,
            )
            for report, reported_s in self._last.values()
        ]

    def _reported_s(self, report: WorkerReport, read_s: float) -> float:
        before = self._last.get(report.worker)
        if before is None:
            return read_s - max(0, self.clock_ms() - report.at_ms) / 1_000
        return before[1] if before[0].at_ms == report.at_ms else read_s
