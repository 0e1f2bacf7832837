"""The rates of one worker that always has work: posts, and deliveries of a giant account's photos.

    python -m bench.throughput [--posts 2000] [--deliveries 1000000]

Posts are `photo.uploaded` of ordinary authors with one follower each, all queued at once.
Deliveries are pages of an account of 50,000 followers, all with timelines, on the bulk lane.
The bench prints the rates, and the CPU time of each process for one post and for 1,000 deliveries.
"""

import argparse
import asyncio
import time

from rich.console import Console

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.freshness import AUTHORS, make_readers
from bench.measuring.giant import GIANT_FOLLOWERS, make_giant, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack
from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from streams.ports.groups import Stores
from streams.stores.connect import connect


async def posts(stack: Stack, deployment: Deployment, count: int, console: Console) -> None:
    photos = fresh_photo_ids(count)
    before, began_s = CpuClock.read(stack), time.monotonic()
    await deployment.publish(
        upload(deployment, photo, AUTHORS[number % len(AUTHORS)]) for number, photo in enumerate(photos)
    )
    await deployment.drained(1_200)
    took_s = time.monotonic() - began_s
    use = CpuUse(before, CpuClock.read(stack))
    console.print(f"{count} posts in {took_s:.1f} s: {count / took_s:.0f} a second; {use.limit('worker-1')}")
    console.print(f"  {use.each(count)}")


async def deliveries(
    stack: Stack, deployment: Deployment, stores: Stores, count: int, console: Console
) -> None:
    before, began_s = CpuClock.read(stack), time.monotonic()
    done = await queue_bulk(deployment, stores, count) * GIANT_FOLLOWERS
    await deployment.drained(1_200)
    took_s = time.monotonic() - began_s
    use = CpuUse(before, CpuClock.read(stack))
    rate = f"{done:,} deliveries in {took_s:.1f} s: {done / took_s:,.0f} a second"
    console.print(f"{rate}; {use.limit('worker-1')}")
    console.print(f"  for each 1,000: {use.each(done // 1_000)}")


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "")
        deployment.prepare()
        deployment.start_worker()
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            with console.status("making the network"):
                await make_readers(deployment, stores)
            await posts(stack, deployment, arguments.posts, console)
            with console.status("making the giant"):
                await make_giant(deployment, stores)
            await deliveries(stack, deployment, stores, arguments.deliveries, console)
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, posts=2_000, deliveries=1_000_000), Console()))


if __name__ == "__main__":
    main()
