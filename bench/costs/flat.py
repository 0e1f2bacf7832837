"""Whether a delivery costs the same for few followers and for many, and for few timelines and for many.

    python -m bench.costs.flat [--rounds 3] [--deliveries 1000000]

One worker delivers photos through the bulk lane, in turns: of accounts of 1,000 to 1,000,000 followers,
while Redis has 300,000 timelines, and before that of the first two accounts while it has 1,000 and 10,000.
Of the account of 1,000,000 every follower beyond the first 300,000 has no timeline, so the bench counts
followers that were looked at as well as those who got the photo. CPU is that of the worker, Redis, Kafka and
Cassandra together.
"""

import argparse
import asyncio
import statistics
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.freshness import follow
from bench.measuring.giant import giant_followers, materialise_all, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack
from infra.local.deployment import Deployment
from schemas.ids import UserId
from streams.ports.groups import Stores
from streams.stores.connect import connect

FOLLOWERS = {UserId(1): 1_000, UserId(2): 10_000, UserId(3): 100_000, UserId(4): 1_000_000}
TIMELINES = (1_000, 10_000, 300_000)
PROCESSES = ("worker-1", "redis", "kafka", "cassandra")
SECONDS_MAX = 600.0

# The microseconds of CPU of a delivery, and deliveries a second, by timelines in Redis and followers.
Figures = dict[tuple[int, int], list[tuple[float, float]]]


async def deliver(
    deployment: Deployment, stores: Stores, giant: UserId, deliveries: int
) -> tuple[float, float]:
    """Deliver so many times to the giant's followers; microseconds of CPU of one, and deliveries a second."""
    before = CpuClock.read(deployment.stack)
    photos = await queue_bulk(deployment, stores, deliveries, giant=giant, followers=FOLLOWERS[giant])
    await deployment.drained(SECONDS_MAX)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    count = photos * FOLLOWERS[giant]
    return 1e6 * sum(map(use.seconds, PROCESSES)) / count, count / use.took_s


async def make_networks(deployment: Deployment, console: Console) -> None:
    with Progress(console=console) as progress:
        bar = progress.add_task("making followers", total=sum(FOLLOWERS.values()))
        for giant, count in FOLLOWERS.items():
            await follow(deployment, [(follower, giant) for follower in giant_followers(count)])
            progress.advance(bar, count)


async def measure(
    deployment: Deployment, stores: Stores, arguments: argparse.Namespace, console: Console
) -> Figures:
    figures: Figures = defaultdict(list)
    await deliver(deployment, stores, UserId(1), arguments.deliveries)  # Warms up the processes.
    existing = 0
    for timelines in TIMELINES:
        with console.status(f"making {timelines:,} timelines"):
            await materialise_all(stores, giant_followers(timelines)[existing:])
        existing = timelines
        giants = [
            giant for giant, count in FOLLOWERS.items() if timelines in (TIMELINES[-1], max(timelines, count))
        ]
        for number in range(arguments.rounds):
            for giant in giants:
                with console.status(f"round {number + 1}: {FOLLOWERS[giant]:,} followers"):
                    figure = await deliver(deployment, stores, giant, arguments.deliveries)
                figures[timelines, FOLLOWERS[giant]].append(figure)
    return figures


def table_of(figures: Figures) -> Table:
    table = Table(
        "timelines in Redis", "followers", "CPU of a delivery, µs: median, all", "deliveries a second"
    )
    for (timelines, followers), rounds in figures.items():
        cpu, rates = zip(*rounds, strict=True)
        table.add_row(
            f"{timelines:,}",
            f"{followers:,}",
            f"{statistics.median(cpu):.2f}: {_listed(cpu)}",
            f"{statistics.median(rates):,.0f}",
        )
    return table


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            await make_networks(deployment, console)
            figures = await measure(deployment, stores, arguments, console)
        deployment.stop()
    console.print(table_of(figures))


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=3, deliveries=1_000_000), Console()))


if __name__ == "__main__":
    main()
