"""How fresh normal posts are with and without millions of queued bulk deliveries, in turns.

    python -m bench.lanes [--rounds 4] [--posts 300] [--backlog 3000000] [--workers 1]

Every worker does everything. In each round ordinary authors first post while nothing else happens.
Then a giant account (50,000 followers with timelines, pushed by a setting) posts until its deliveries
add up to the backlog, which is settled through the bulk lane, and the ordinary authors post again.
Freshness is the time from just before `photo.uploaded` is published until the photo is in the follower's
timeline in Redis, which is read every 20 ms.
"""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console

from bench.measuring.freshness import freshness, make_readers
from bench.measuring.giant import GIANT, GIANT_FOLLOWERS, make_giant
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from streams.ports.groups import Stores
from streams.stores.connect import connect


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {"SHUTTERLINE_CELEBRITY_PUSH_FOLLOWERS_MAX": "1000000"})
        deployment.prepare()
        for number in range(arguments.workers):
            deployment.start_worker(f"worker-{number + 1}")
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            with console.status("making the network"):
                await make_readers(deployment, stores)
                await make_giant(deployment, stores)
            calm, busy = await rounds(deployment, stores, arguments, console)
        deployment.stop()
    console.print(f"without backlog: {len(calm)} posts, {percentiles(calm)}")
    console.print(f"with backlog:    {len(busy)} posts, {percentiles(busy)}")
    console.print(f"p99 with, divided by without: {p99(busy) / p99(calm):.2f}")


async def rounds(
    deployment: Deployment, stores: Stores, arguments: argparse.Namespace, console: Console
) -> tuple[list[float], list[float]]:
    calm: list[float] = []
    busy: list[float] = []
    for number in range(arguments.rounds):
        without = await freshness(deployment, stores, arguments.posts)
        photos = fresh_photo_ids(-(-arguments.backlog // GIANT_FOLLOWERS))
        await deployment.publish(upload(deployment, photo, GIANT) for photo in photos)
        beside = await freshness(deployment, stores, arguments.posts)
        left = await deployment.deferred()
        console.print(
            f"round {number + 1}: without {percentiles(without)}; with {percentiles(beside)}; "
            f"{len(photos)} photos of {GIANT_FOLLOWERS:,} followers posted, {left} not pushed yet at the end"
        )
        calm += without
        busy += beside
        if number + 1 < arguments.rounds:
            await deployment.drained(1_200)
    return calm, busy


def p99(seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return ordered[int(len(ordered) * 0.99) - 1]


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=4, posts=300, backlog=3_000_000, workers=1), Console()))


if __name__ == "__main__":
    main()
