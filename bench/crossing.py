"""An author's follower count rises above the pull threshold and falls back, three times.

    python -m bench.crossing [--rounds 3]

The author posts in each phase. The thresholds are the defaults, and every follow goes through
Kafka, so all followers are real rows. Half of the readers have a timeline before the first post,
the others have none until the end; then every feed is compared with what was posted.
"""

import asyncio
import time
from collections.abc import Sequence

from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack
from bench.traffic.events import follows, fresh_photo_ids, upload
from bench.traffic.readers import client_of, feed_of
from infra.local.deployment import Deployment
from schemas.facts import UserUnfollowed
from schemas.ids import PhotoId, UserId
from streams.stores.connect import connect

AUTHOR = UserId(1)
READERS = [UserId(number) for number in range(2, 42)]
OTHERS_FROM = 1_000
PHOTOS_A_PHASE = 5


async def run(rounds: int, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "")
        deployment.prepare()
        deployment.start_all()
        low, high = (
            deployment.settings.push_again_followers_max,
            deployment.settings.pull_followers_min,
        )
        steady = [UserId(OTHERS_FROM + number) for number in range(low - len(READERS))]
        passing = [UserId(OTHERS_FROM + low + number) for number in range(high - low + 1)]
        began_s = time.monotonic()
        posted, phases = await _cross(deployment, steady, passing, rounds)
        took_s = time.monotonic() - began_s
        async with client_of(deployment) as client:
            feeds = [await feed_of(client, reader) for reader in READERS]
        wrong = sum(feed != sorted(posted, reverse=True) for feed in feeds)
        deployment.stop()
    console.print(f"pulled from {high:,} followers on, pushed again at {low:,}: {' '.join(phases)}")
    console.print(
        f"{rounds} times across and back in {took_s:.0f} s, {len(posted)} photos: "
        f"{wrong} of {len(READERS)} feeds differ"
    )


async def _cross(
    deployment: Deployment, steady: Sequence[UserId], passing: Sequence[UserId], rounds: int
) -> tuple[list[PhotoId], list[str]]:
    """What was posted, and how the author's photos were delivered in each phase."""
    posted: list[PhotoId] = []
    phases: list[str] = []
    async with client_of(deployment) as client, connect(deployment.settings, timeout_ms=60_000) as stores:

        async def post() -> None:
            photos = fresh_photo_ids(PHOTOS_A_PHASE)
            posted.extend(photos)
            await deployment.publish(upload(deployment, photo, AUTHOR) for photo in photos)
            await deployment.drained(600)
            phases.append((await stores.authors.modes_by_size([AUTHOR]))[AUTHOR].value)

        await deployment.publish(follows(deployment, [(reader, AUTHOR) for reader in (*READERS, *steady)]))
        await deployment.drained(600)
        for reader in READERS[::2]:
            await feed_of(client, reader)
        await post()
        for _ in range(rounds):
            await deployment.publish(follows(deployment, [(follower, AUTHOR) for follower in passing]))
            await deployment.drained(600)
            await post()
            await deployment.publish(
                deployment.outgoing(UserUnfollowed(follower_id=follower, followee_id=AUTHOR))
                for follower in passing
            )
            await deployment.drained(600)
            await post()
    return posted, phases


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=3).rounds, Console()))


if __name__ == "__main__":
    main()
