"""What a sample and its report cost the monitor with many partitions, whose offsets are simulated.

    python -m bench.lag.large [--groups 200] [--partitions 50] [--samples 40]

Each group has `--partitions`. A tenth of them lags and is read on, one in a hundred stands still, the others
have nothing to read. It prints the CPU of a sample and of a report, the memory, and the size of the report.
The brokers' part is not in it: a sample asks for the commits and the members of each group, and once for the
bounds of all logs.
"""

import asyncio
import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import process_time

import orjson
from prometheus_client import generate_latest
from rich.console import Console

from bench.lag.group import NoBacklog
from bench.measuring.running import bench_arguments
from streams.clock import unix_ms
from streams.core.lag.history import LagHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.samples import GroupLogs, Log, Members, TopicLogs
from streams.kafka.offsets.gaps import NextRecord
from streams.monitor.metrics import show
from streams.monitor.monitor import LagMonitor
from streams.monitor.sampling import Sampler

LOOK_S = 2.0
LAGGING, STUCK = 10, 100  # One partition of so many.
WARM_SAMPLES = 31  # Then the histories hold a whole minute.


@dataclass(slots=True)
class SimulatedBroker:
    """Every log grows by ten offsets a look; `look` is the number of the last one."""

    look: int = 0
    owners: dict[str, Members] = field(default_factory=dict)

    async def commits(self, group: str, logs: Iterable[Log]) -> dict[Log, int]:
        return {log: self._commit(log) for log in logs}

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, 0)

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, self._end)

    async def next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        now_ms = unix_ms()
        return {log: NextRecord(offset, exists=True, time_ms=now_ms) for log, offset in offsets.items()}

    async def of(self, groups: Iterable[str]) -> dict[str, Members]:
        return {group: self.owners[group] for group in groups}

    @property
    def _end(self) -> int:
        return 10_000 + 10 * self.look

    def _commit(self, log: Log) -> int:
        if log[1] % STUCK == 1:
            return 5_000
        return self._end - 200 if log[1] % LAGGING == 0 else self._end


def groups_of(count: int, partitions: int) -> list[GroupLogs]:
    """The groups, each with a topic of its own."""
    return [
        GroupLogs(
            group=f"group-{number}",
            topics=[
                TopicLogs(
                    topic=f"topic-{number}", lane=None, partitions=range(partitions), retention_s=7 * 86_400.0
                )
            ],
            still_s=60.0,
        )
        for number in range(count)
    ]


async def measure(count: int, partitions: int, samples: int, console: Console) -> None:
    groups, broker = groups_of(count, partitions), SimulatedBroker()
    for group in groups:
        owners = dict.fromkeys(group.logs(), "worker-1")
        broker.owners[group.group] = Members(ids=frozenset({"worker-1"}), owners=owners)
    simulated_s = 0.0
    monitor = LagMonitor(
        groups=lambda: groups,
        sampler=Sampler(broker, broker, clock_s=lambda: simulated_s),
        backlog=NoBacklog(),
        history=LagHistory(step_s=10, columns_max=60),
        rebalances=RebalanceLog(50),
        interval_s=LOOK_S,
        stale_s=10.0,
        unowned_s=1.5,
        clock_s=lambda: simulated_s,
    )
    took_s: list[float] = []
    for _ in range(WARM_SAMPLES + samples):
        broker.look += 1
        simulated_s += LOOK_S
        began_s = process_time()
        await monitor.refresh()
        took_s.append(process_time() - began_s)
    report_s, body = _timed(lambda: orjson.dumps(monitor.report()))
    page_s, page = _timed(lambda: _metrics(monitor))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    measured = sorted(took_s[WARM_SAMPLES:])
    cpu_s = measured[len(measured) // 2]
    console.print(
        f"{count * partitions:,} partitions, {count} groups: {1_000 * cpu_s:.0f} ms of CPU a sample (median "
        f"of {samples}), {cpu_s / LOOK_S:.1%} of a core at one sample every {LOOK_S:g} s; report "
        f"{len(body) / 1e6:.2f} MB in {1_000 * report_s:.0f} ms, metrics {len(page) / 1e6:.2f} MB in "
        f"{1_000 * page_s:.0f} ms; {memory_mb:.0f} MB at the most"
    )


def _metrics(monitor: LagMonitor) -> bytes:
    show(monitor.report(), monitor.ages_s())
    return generate_latest()


def _timed(make: Callable[[], bytes]) -> tuple[float, bytes]:
    began_s = process_time()
    made = make()
    return process_time() - began_s, made


def main() -> None:
    arguments = bench_arguments(__doc__, groups=200, partitions=50, samples=40)
    asyncio.run(measure(arguments.groups, arguments.partitions, arguments.samples, Console(width=200)))


if __name__ == "__main__":
    main()
