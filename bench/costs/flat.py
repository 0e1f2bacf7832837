"""Whether a delivery costs the same for few followers and for many, and for few timelines and for many.

    python -m bench.costs.flat [--rounds 5]

One worker delivers a photo of each of 1,000 accounts of 1,000 followers, of 100 of 10,000, of 10 of 100,000,
and of one of 1,000,000, in turns, through the bulk lane without a pace; first while Redis has few timelines,
then 300,000. So each time 1,000,000 followers are read once. Of the account of 1,000,000 every follower
beyond the first 300,000 has no timeline, so the bench counts followers that were looked at. CPU is that of
the worker, Redis, Kafka and Cassandra together.
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
from bench.measuring.followers import load_followers
from bench.measuring.giant import giant_followers, materialise_all, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack
from bench.measuring.sides import UNPACED
from infra.local.deployment import Deployment
from schemas.ids import UserId
from streams.ports.groups import Stores
from streams.stores.connect import connect

# The accounts by how many followers each has.
ACCOUNTS = {
    1_000: [UserId(number) for number in range(1_001, 2_001)],
    10_000: [UserId(number) for number in range(2_001, 2_101)],
    100_000: [UserId(number) for number in range(3_001, 3_011)],
    1_000_000: [UserId(4_001)],
}
TIMELINES = (1_000, 10_000, 300_000)
PROCESSES = ("worker-1", "redis", "kafka", "cassandra")
DELIVERED_S_MAX = 600.0

# The microseconds of CPU of a delivery, and deliveries a second, by timelines in Redis and followers.
Figures = dict[tuple[int, int], list[tuple[float, float]]]


async def deliver(deployment: Deployment, stores: Stores, followers: int) -> tuple[float, float]:
    """Deliver a photo of each account of that size; microseconds of CPU of one, and deliveries a second."""
    before = CpuClock.read(deployment.stack)
    await queue_bulk(deployment, stores, followers, giants=ACCOUNTS[followers], followers=followers)
    await deployment.drained(DELIVERED_S_MAX)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    count = len(ACCOUNTS[followers]) * followers
    return 1e6 * sum(map(use.seconds, PROCESSES)) / count, count / use.took_s


async def make_networks(deployment: Deployment, stores: Stores, console: Console) -> None:
    with Progress(console=console) as progress:
        bar = progress.add_task("making followers", total=sum(map(len, ACCOUNTS.values())))
        for count, accounts in ACCOUNTS.items():
            for account in accounts:
                await load_followers(stores, deployment.settings, account, giant_followers(count), ())
                progress.advance(bar)


async def measure(
    deployment: Deployment, stores: Stores, arguments: argparse.Namespace, console: Console
) -> Figures:
    figures: Figures = defaultdict(list)
    await deliver(deployment, stores, min(ACCOUNTS))  # Warms up the processes.
    existing = 0
    for timelines in TIMELINES:
        with console.status(f"making {timelines:,} timelines"):
            await materialise_all(stores, giant_followers(timelines)[existing:])
        existing = timelines
        sizes = [count for count in ACCOUNTS if timelines in (TIMELINES[-1], max(timelines, count))]
        for number in range(arguments.rounds):
            for followers in sizes:
                with console.status(f"round {number + 1}: {followers:,} followers"):
                    figures[timelines, followers].append(await deliver(deployment, stores, followers))
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
        deployment = Deployment(stack, "", UNPACED)
        deployment.prepare()
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            await make_networks(deployment, stores, console)
            deployment.start_worker()
            figures = await measure(deployment, stores, arguments, console)
        deployment.stop()
    console.print(table_of(figures))


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=5), Console()))


if __name__ == "__main__":
    main()
