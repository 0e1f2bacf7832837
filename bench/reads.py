"""Feed reads with 50 pulled authors at a steady rate, and 5,000 cold readers at once.

    python -m bench.reads [--rate 200] [--seconds 30] [--cold 5000]

Open loop: a request starts when it is due, whether or not earlier ones are answered, so a
slow answer cannot hide the ones behind it.
"""

import argparse
import asyncio
import time
from collections import Counter

from rich.console import Console

from api.tokens import tokens_for
from bench.running import bench_stack, percentiles
from infra.local.deployment import Deployment
from schemas.events import EventType
from schemas.facts import UserFollowed
from schemas.ids import UserId
from streams.errors import StoreUnavailable
from streams.jobs.feed_client import FeedClient, feed_client, feed_path
from tests.integration.making import fresh_photo_ids, upload

AUTHORS = [UserId(number) for number in range(1, 51)]
READERS = [UserId(number) for number in range(1_000, 1_200)]
COLD_FROM = 100_000
PHOTOS_EACH = 40
SAMPLE_S = 0.25


async def make_network(deployment: Deployment, cold: int) -> None:
    edges = [(reader, author) for reader in READERS for author in AUTHORS]
    edges += [(UserId(COLD_FROM + n), AUTHORS[(n + k) % 50]) for n in range(cold) for k in range(10)]
    await deployment.publish(
        deployment.outgoing(EventType.USER_FOLLOWED, UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    )
    await deployment.drained(1_200)
    for _ in range(PHOTOS_EACH):
        photos = fresh_photo_ids(len(AUTHORS))
        await deployment.publish(
            upload(deployment, photo, author) for photo, author in zip(photos, AUTHORS, strict=True)
        )
    await deployment.drained(600)


async def steady(client: FeedClient, rate: int, seconds: int) -> list[float]:
    """Seconds that each request of the steady load took."""

    async def one(number: int) -> float:
        await asyncio.sleep(number / rate)
        began = time.monotonic()
        page = await client.page(READERS[number % len(READERS)], limit=20)
        if page.completeness != "complete":
            raise RuntimeError(f"a page said {page.completeness}")
        return time.monotonic() - began

    return list(await asyncio.gather(*(one(number) for number in range(rate * seconds))))


async def cold_start(deployment: Deployment, client: FeedClient, readers: int) -> None:
    """Everybody at once; then everybody again until all pages are complete."""
    console = Console()
    answers: Counter[str] = Counter()
    done = asyncio.Event()

    async def one(reader: UserId) -> None:
        while True:
            try:
                body, again_s = await client.get(feed_path(20), reader)
                answers[body["completeness"]] += 1
                if body["completeness"] == "complete":
                    return
            except StoreUnavailable:
                answers["503"] += 1
                again_s = 1.0
            await asyncio.sleep(again_s)

    async def fastest_second() -> float:
        seen: list[float] = []
        while not done.is_set():
            seen.append(await asyncio.to_thread(rebuilds, deployment))
            await asyncio.sleep(SAMPLE_S)
        steps = int(1 / SAMPLE_S)
        return max((after - before for before, after in zip(seen, seen[steps:], strict=False)), default=0)

    sampling = asyncio.create_task(fastest_second())
    began, before = time.monotonic(), rebuilds(deployment)
    await asyncio.gather(*(one(UserId(COLD_FROM + number)) for number in range(readers)))
    took_s = time.monotonic() - began
    done.set()
    made = rebuilds(deployment) - before
    console.print(
        f"{readers} cold readers: {made:.0f} rebuilds, all complete after {took_s:.1f} s, at most "
        f"{await sampling:.0f} rebuilds in a second; answers {dict(answers)}"
    )


def rebuilds(deployment: Deployment) -> float:
    return deployment.metric('shutterline_rebuilds_total{outcome="rebuilt"}', "api")


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        # Every author is a celebrity here, so every page merges 50 pull lists.
        deployment = Deployment(
            stack,
            "",
            {
                "SHUTTERLINE_PULL_FOLLOWERS_MIN": "2",
                "SHUTTERLINE_PUSH_AGAIN_FOLLOWERS_MAX": "1",
                "SHUTTERLINE_REQUESTS_IN_FLIGHT_MAX": "8192",
            },
        )
        deployment.prepare()
        deployment.start_worker()
        deployment.start_api()
        with console.status("making the network"):
            await make_network(deployment, arguments.cold)
        async with feed_client(deployment.settings, tokens_for(deployment.settings)) as client:
            for reader in READERS:
                await client.walk(reader, depth=20)
            took = await steady(client, arguments.rate, arguments.seconds)
            console.print(f"{arguments.rate} reads a second, 50 pulled authors: {percentiles(took)}")
            await cold_start(deployment, client, arguments.cold)
        deployment.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--cold", type=int, default=5_000)
    asyncio.run(run(parser.parse_args(), Console()))


if __name__ == "__main__":
    main()
