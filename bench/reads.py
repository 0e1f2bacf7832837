"""Feed reads with pulled authors at a steady rate, and cold readers at once.

    python -m bench.reads [--pulled 50] [--rate 200] [--seconds 30] [--cold 5000]

One API process. Every author is a celebrity here, so every page merges a pull list for each, and
every photo has its four renditions, so every page signs 80 URLs.
"""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console

from bench.measuring.cold import cold_start
from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.measuring.steady import steady
from bench.traffic.events import fresh_photo_ids, photo_of
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import UserId
from shutterline.client.feed import TokenOf, feed_client
from shutterline.tokens import tokens_for

READERS = [UserId(number) for number in range(1_000, 1_200)]
COLD_FROM = 100_000
COLD_FOLLOWEES = 10
PHOTOS_EACH = 40
WARM_UP_S = 3.0


async def make_network(deployment: Deployment, authors: Sequence[UserId], cold: Sequence[UserId]) -> None:
    edges = [(reader, author) for reader in READERS for author in authors]
    edges += [
        (reader, authors[(reader + k) % len(authors)])
        for reader in cold
        for k in range(min(COLD_FOLLOWEES, len(authors)))
    ]
    await deployment.publish(
        deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    )
    await deployment.drained(1_200)
    for _ in range(PHOTOS_EACH):
        photos = fresh_photo_ids(len(authors))
        await deployment.publish(
            deployment.outgoing(photo_of(photo, author))
            for photo, author in zip(photos, authors, strict=True)
        )
    await deployment.drained(600)


async def measure_steady(
    deployment: Deployment, token_of: TokenOf, rate: int, seconds: int, console: Console
) -> None:
    async with feed_client(deployment.settings, token_of) as client:
        for reader in READERS:
            await client.walk(reader, depth=1)
    await steady(deployment, READERS, token_of, rate // 2, WARM_UP_S)
    before = CpuClock.read(deployment.stack)
    load = await steady(deployment, READERS, token_of, rate, seconds)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    console.print(
        f"{rate} reads a second, {max(load.page_bytes):,} bytes a page: "
        f"{percentiles(load.took_s)}; {dict(load.answers)}"
    )
    console.print(f"{use.each(len(load.took_s))}; {use.limit('api')}")


async def measure_cold(
    deployment: Deployment, token_of: TokenOf, cold: Sequence[UserId], console: Console
) -> None:
    before = CpuClock.read(deployment.stack)
    start = await cold_start(deployment, cold, token_of)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    rebuilds = ", ".join(f"{count:,} {outcome}" for outcome, count in start.rebuilds.items())
    console.print(
        f"{len(cold)} cold readers: rebuilds {rebuilds}; at most "
        f"{start.rebuilds_in_a_second_max:.0f} in a second, all complete after {start.took_s:.1f} s; "
        f"slowest answer {start.slowest_s:.2f} s; {dict(start.answers)}"
    )
    console.print(f"{use.each(len(cold))}; {use.limit('api')}")


async def run(arguments: argparse.Namespace, console: Console) -> None:
    authors = [UserId(number) for number in range(1, arguments.pulled + 1)]
    cold = [UserId(COLD_FROM + number) for number in range(arguments.cold)]
    with bench_stack() as stack:
        deployment = Deployment(
            stack, "", {"SHUTTERLINE_PULL_FOLLOWERS_MIN": "2", "SHUTTERLINE_PUSH_AGAIN_FOLLOWERS_MAX": "1"}
        )
        deployment.prepare()
        deployment.start_all()
        with console.status("making the network"):
            await make_network(deployment, authors, cold)
        token_of = tokens_for(deployment.settings)
        await measure_steady(deployment, token_of, arguments.rate, arguments.seconds, console)
        if cold:
            await measure_cold(deployment, token_of, cold, console)
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, pulled=50, rate=200, seconds=30, cold=5_000), Console()))


if __name__ == "__main__":
    main()
