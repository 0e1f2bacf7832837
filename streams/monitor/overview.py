"""All that the monitor knows, for the page /ops: its report, and what was in the last minutes."""

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.monitor.freshness import FreshnessLog
from streams.monitor.monitor import LagMonitor
from streams.monitor.operations import OperationsTail
from streams.monitor.sources.brokers import Brokers
from streams.monitor.sources.hottest_keys import HottestKeys
from streams.monitor.sources.workers import Workers

Json = dict[str, Any]


@dataclass(slots=True)
class Overview:
    """`dead_letters` and `workers` are None until Cassandra is there, which knows of them.

    The sources have one monotonic clock, so a wall clock that is set changes no age.
    """

    monitor: LagMonitor
    operations: OperationsTail
    freshness: FreshnessLog
    brokers: Brokers
    hottest_keys: HottestKeys
    dead_letters: DeadLettersDepth | None = field(default=None, init=False)
    workers: Workers | None = field(default=None, init=False)

    def json(self) -> Json | None:
        """Return everything; None before the first sample. Unknown is null."""
        report = self.monitor.report()
        if report is None:
            return None
        depth = self.dead_letters
        return {
            "lag": report,
            "freshness": self.freshness.json(),
            "history": self.monitor.history.json(),
            "rebalances": [rebalance.json() for rebalance in self.monitor.rebalances.newest()],
            "dead_letters": None
            if depth is None or not isfinite(depth.read_s)
            else [topic.json(self.monitor.clock_ms()) for topic in depth.topics.values()],
            "workers": None if self.workers is None else self.workers.json(),
            "brokers": self.brokers.json(),
            "hottest_keys": self.hottest_keys.json(),
            "operations": list(self.operations.newest()),
            "sources": [
                {"source": source, "age_s": round(age_s, 3) if isfinite(age_s) else None}
                for source, age_s in self._ages_s().items()
            ],
        }

    def _ages_s(self) -> dict[str, float]:
        now_s = self.monitor.clock_s()
        return {
            **self.monitor.ages_s(),
            "dead letters": inf if self.dead_letters is None else now_s - self.dead_letters.read_s,
            "workers": inf if self.workers is None else now_s - self.workers.read_s,
            "brokers": now_s - self.brokers.read_s,
            "operations": now_s - self.operations.read_s,
        }
