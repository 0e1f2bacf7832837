"""Ten giants post at once, beside a mass follow and posts that are settled: shares, and what others notice.

    python -m bench.overload.giants [--followers 100000] [--follows 100000] [--posts 300] [--workers 1]

In each round ordinary authors first post while nothing else happens. Then an account of half as many
followers posts ten times, which is settled; ten giants, who are pushed by a setting, post at once; another
account is followed by many; and the ordinary authors post again. A giant's push takes from the moment at
which its post is published until the last page is on the bulk lane. Its fair share is all that is to be
pushed, at the budget of the bulk lane. Freshness is that of `bench.lanes`.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence

from rich.console import Console

from bench.lanes import p99
from bench.measuring.followers import load_followers
from bench.measuring.freshness import freshness, make_readers
from bench.measuring.giant import giant_followers, materialise_all
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.overload.pushes import SETTINGS, records_of
from bench.traffic.events import follows, fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from streams.ports.groups import Stores
from streams.stores.connect import connect

GIANTS = [UserId(number) for number in range(1, 11)]
SETTLED, SETTLED_POSTS = UserId(11), 10
FOLLOWED_FROM = 100
PUSHED_S_MAX = 1_200.0


async def make_network(deployment: Deployment, stores: Stores, followers: Sequence[UserId]) -> None:
    await materialise_all(stores, followers)
    for account in GIANTS:
        await load_followers(stores, deployment.settings, account, followers, ())
    await load_followers(stores, deployment.settings, SETTLED, followers[: len(followers) // 2], ())


async def crowd(deployment: Deployment, arguments: argparse.Namespace, number: int) -> Sequence[PhotoId]:
    """Publish everything at once; returns the posts of the giants."""
    settled = fresh_photo_ids(SETTLED_POSTS)
    await deployment.publish(upload(deployment, photo, SETTLED) for photo in settled)
    photos = fresh_photo_ids(len(GIANTS))
    await deployment.publish(
        upload(deployment, photo, giant) for photo, giant in zip(photos, GIANTS, strict=True)
    )
    followed = UserId(FOLLOWED_FROM + number)
    many = giant_followers(arguments.follows)
    await deployment.publish(follows(deployment, [(follower, followed) for follower in many]))
    return photos


def shares(deployment: Deployment, photos: Sequence[PhotoId], began_s: float, followers: int) -> str:
    """Say when each giant's push ended, as multiples of its fair share."""
    deliveries = len(GIANTS) * followers + SETTLED_POSTS * (followers // 2)
    fair_s = deliveries / deployment.settings.bulk_deliveries_per_s
    ended_s = sorted(records_of(deployment, photo)[-1][0] - began_s for photo in photos)
    ratios = ", ".join(f"{took_s / fair_s:.2f}" for took_s in ended_s)
    return f"giants' pushes ended after {ended_s[0]:.1f} to {ended_s[-1]:.1f} s; of {fair_s:.1f} s: {ratios}"


async def rounds(
    deployment: Deployment, stores: Stores, arguments: argparse.Namespace, console: Console
) -> tuple[list[float], list[float]]:
    calm: list[float] = []
    busy: list[float] = []
    for number in range(arguments.rounds):
        calm += await freshness(deployment, stores, arguments.posts)
        began_s = time.time()
        photos = await crowd(deployment, arguments, number)
        beside = await freshness(deployment, stores, arguments.posts)
        busy += beside
        await deployment.drained(PUSHED_S_MAX)
        said = shares(deployment, photos, began_s, arguments.followers)
        console.print(f"round {number + 1}: {said}; all done after {time.time() - began_s:.0f} s")
        console.print(f"posts meanwhile: {percentiles(beside)}")
    return calm, busy


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", SETTINGS)
        deployment.prepare()
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            began_s = time.monotonic()
            with console.status("making the network"):
                await make_network(deployment, stores, giant_followers(arguments.followers))
            console.print(f"made the network in {time.monotonic() - began_s:.0f} s")
            for number in range(arguments.workers):
                deployment.start_worker(f"worker-{number + 1}")
            await make_readers(deployment, stores)
            calm, busy = await rounds(deployment, stores, arguments, console)
        deployment.stop()
    console.print(f"posts without: {len(calm)}, {percentiles(calm)}")
    console.print(f"posts beside:  {len(busy)}, {percentiles(busy)}")
    console.print(f"p99 beside, divided by without: {p99(busy) / p99(calm):.2f}")


def main() -> None:
    options = {"followers": 100_000, "follows": 100_000, "posts": 300, "rounds": 2, "workers": 1}
    asyncio.run(run(bench_arguments(__doc__, **options), Console()))


if __name__ == "__main__":
    main()
