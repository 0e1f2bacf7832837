"""Kill Redis with many timelines, and start it again: how many are there, and what readers notice.

    python -m bench.overload.restart [--timelines 1000000] [--deliveries 5]

The bench fills Redis with full timelines, compacts its append-only file, and appends `--deliveries` photos to
each timeline, which are in the part of the file that was written since. A timeline takes 5.2 kB of memory and
of disk, and compacting takes up to as much again. Forty readers ask for their feeds all the time. Redis is
killed with -9 and started at once. The bench prints when Redis has loaded its file, which share of the
timelines is there after 30 s, and what the readers' pages said and took before and meanwhile.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from more_itertools import chunked
from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as NotConnected
from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.outage import READERS_AT_ONCE, Reading
from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PackedIds, PhotoId, compose_id, pack_id, pack_ids
from streams.core import ring
from streams.ports.timelines import PhotosForOwners
from streams.settings import TimelineSettings
from streams.stores.connect import connect

FIRST_OWNER = 10**12
SAMPLE = 20_000
THERE_S = 30.0
BEFORE_S = 10.0
LOOK_S = 0.1
FIRST_PHOTO_MS, PHOTO_EVERY_MS = 1_780_000_000_000, 400_000  # Three days of photos, in the past.


def photo_of(number: int) -> PhotoId:
    return PhotoId(compose_id(FIRST_PHOTO_MS + number * PHOTO_EVERY_MS, 5_000, number % 1_000))


def fill(redis: Redis, prefix: bytes, timelines: int, settings: TimelineSettings) -> None:
    """Make the timelines, and compact the append-only file."""
    slots = settings.timeline_slots
    full = ring.lay_out(map(photo_of, range(slots)), slots=slots, floor=0, version=1)
    for owners in chunked(range(FIRST_OWNER, FIRST_OWNER + timelines), 500):
        pipe = redis.pipeline(transaction=False)
        for owner in owners:
            pipe.set(prefix + pack_id(owner), full, ex=settings.timeline_ttl_s)
        pipe.execute()
    until_compacted(redis)
    redis.bgrewriteaof()
    until_compacted(redis)


def until_compacted(redis: Redis) -> None:
    while (state := redis.info("persistence"))["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]:
        time.sleep(1)


async def deliver(deployment: Deployment, timelines: int, deliveries: int) -> None:
    """Append photos to all timelines, as the lanes do."""
    settings = deployment.settings
    async with connect(settings, timeout_ms=10_000) as stores:
        for number in range(deliveries):
            photo = photo_of(settings.timeline_slots + number)
            for owners in chunked(range(FIRST_OWNER, FIRST_OWNER + timelines), settings.append_owners_max):
                await stores.timelines.append([PhotosForOwners((photo,), PackedIds(pack_ids(owners)))])


def share_there(redis: Redis, prefix: bytes, timelines: int) -> float:
    """The share of the timelines that exist, of a sample; 0 while Redis loads."""
    owners = range(FIRST_OWNER, FIRST_OWNER + timelines, max(1, timelines // SAMPLE))
    keys = (prefix + pack_id(owner) for owner in owners)
    try:
        return sum(redis.exists(*some) for some in chunked(keys, 1_000)) / len(owners)
    except (BusyLoadingError, NotConnected):
        return 0.0


def restart(stack: Stack, redis: Redis) -> float:
    """Kill Redis and start it; returns after how many seconds it had loaded its file."""
    began_s = time.monotonic()
    stack.server("redis").kill()
    stack.start_servers()
    while True:
        try:
            if not redis.info("persistence")["loading"]:
                return time.monotonic() - began_s
        except (BusyLoadingError, NotConnected):
            pass
        time.sleep(LOOK_S)


def said(answers: Sequence[tuple[int, str, float]]) -> str:
    pages = Counter(completeness or str(status) for status, completeness, _ in answers)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in pages.most_common())
    return f"{percentiles([took_s for *_, took_s in answers])}; {kinds}"


async def run(timelines: int, deliveries: int, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "")
        deployment.prepare()
        deployment.start_all()
        readers, authors = await everybody_follows_everybody(deployment)
        prefix = deployment.settings.namespace.encode() + b"t"
        async with client_of(deployment) as client:
            posting = Posting(deployment, authors)
            await posting.until(100)
            await posting.stop()
            with Redis(port=stack.server("redis").port) as redis:
                await asyncio.to_thread(fill, redis, prefix, timelines, deployment.settings)
                await deliver(deployment, timelines, deliveries)
                state = redis.info("persistence")
                compact, since = state["aof_base_size"], state["aof_current_size"] - state["aof_base_size"]
                console.print(
                    f"{timelines:,} timelines, {redis.info('memory')['used_memory_human']} of memory, "
                    f"file {compact / 1e9:.2f} GB and {since / 1e9:.2f} GB since"
                )
                for reader in readers:
                    await feed_of(client, reader)
                reading = Reading(client, [])
                tasks = [asyncio.create_task(reading.run(reader)) for reader in readers[:READERS_AT_ONCE]]
                await asyncio.sleep(BEFORE_S)
                before = len(reading.answers)
                began_s = time.monotonic()
                loaded_s = await asyncio.to_thread(restart, stack, redis)
                await asyncio.sleep(max(0.0, began_s + THERE_S - time.monotonic()))
                there, there_s = share_there(redis, prefix, timelines), time.monotonic() - began_s
                reading.going = False
                await asyncio.gather(*tasks)
        console.print(f"loaded after {loaded_s:.1f} s; {there:.1%} there after {there_s:.1f} s")
        console.print(f"pages before:    {said(reading.answers[:before])}")
        console.print(f"pages meanwhile: {said(reading.answers[before:])}")
        deployment.stop()


def main() -> None:
    arguments = bench_arguments(__doc__, timelines=1_000_000, deliveries=5)
    asyncio.run(run(arguments.timelines, arguments.deliveries, Console()))


if __name__ == "__main__":
    main()
