"""How evenly the post of a giant is pushed, and when its followers see it.

    python -m bench.overload.pushes [--followers 1000000] [--readers 50]

A celebrity posts who is pushed by a setting: with one worker, with two, and with two of which all are killed
with -9 at half of the push, and others started. Followers' pages are looked at until they show the post. The
bench reads the bulk lane itself: how long it took from the first to the last record of a push, and the most
deliveries in any second, by the records' times.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, TopicPartition
from rich.console import Console

from bench.measuring.followers import load_followers
from bench.measuring.giant import GIANT, giant_followers
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.events import fresh_photo_ids, upload
from bench.traffic.readers import client_of
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from schemas.internal import DELIVERIES, FanoutPage, decode_fanout
from shutterline.client.feed import FeedClient
from streams.errors import StoreUnavailable
from streams.kafka.clients import librdkafka_consumer
from streams.stores.connect import connect
from topics.catalogue import FANOUT, Lane

SETTINGS = {"SHUTTERLINE_CELEBRITY_PUSH_FOLLOWERS_MAX": "100000000"}
PUSHED_S_MAX = 300.0
LOOK_S = 0.1

# The second in which a record was published, and how many deliveries it may be.
Record = tuple[float, int]


def records_of(deployment: Deployment, photo: PhotoId) -> list[Record]:
    """Read the bulk lane: the pages of the photo in the order of their times."""
    topic = FANOUT.named(deployment.namespace)
    partitions = deployment.sizes.range_of(FANOUT, Lane.BULK)
    consumer = Consumer(
        {**librdkafka_consumer(deployment.settings, "bench-pushes"), "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    records: list[Record] = []
    ended: set[int] = set()
    while len(ended) < len(partitions):
        message = consumer.poll(10.0)
        if message is None or message.error() is not None:
            if message is None or message.error().code() != KafkaError._PARTITION_EOF:
                raise TimeoutError("the bulk lane could not be read")
            ended.add(message.partition())
            continue
        record = decode_fanout(message.value())
        if isinstance(record, FanoutPage) and record.photo_id == photo:
            [deliveries] = [int(value) for name, value in message.headers() if name == DELIVERIES]
            records.append((message.timestamp()[1] / 1_000, deliveries))
    consumer.close()
    return sorted(records)


def most_in_a_second(records: Sequence[Record]) -> int:
    """The most deliveries in any second that begins with a record."""
    most = first = total = 0
    for at_s, deliveries in records:
        total += deliveries
        while records[first][0] <= at_s - 1:
            total -= records[first][1]
            first += 1
        most = max(most, total)
    return most


async def seen_after_s(client: FeedClient, reader: UserId, photo: PhotoId, began_s: float) -> float:
    while True:
        with suppress(StoreUnavailable):
            page = await client.page(reader, limit=20)
            if str(photo) in {item["photo_id"] for item in page.items}:
                return time.monotonic() - began_s
        await asyncio.sleep(LOOK_S)


def readers_of(arguments: argparse.Namespace) -> Sequence[UserId]:
    return giant_followers(arguments.followers)[:: max(1, arguments.followers // arguments.readers)]


async def push(
    deployment: Deployment, workers: Sequence[str], arguments: argparse.Namespace, *, kill: bool
) -> str:
    """Let the giant post, and wait until all is pushed; says what was measured."""
    for name in workers:
        deployment.start_worker(name)
    [photo] = fresh_photo_ids(1)
    readers = readers_of(arguments)
    async with client_of(deployment) as client:
        for reader in readers:
            with suppress(StoreUnavailable):
                await client.page(reader, limit=20)
        began_s = time.monotonic()
        await deployment.publish([upload(deployment, photo, GIANT)])
        looking = asyncio.gather(*(seen_after_s(client, reader, photo, began_s) for reader in readers))
        if kill:
            await asyncio.sleep(arguments.followers / deployment.settings.post_deliveries_per_s / 2)
            for name in workers:
                deployment.stack.process(f"{deployment.namespace}{name}").kill()
            deployment.start_worker("worker-after")
        await deployment.drained(PUSHED_S_MAX)
        seen_s = await looking
    records = records_of(deployment, photo)
    again = sum(deliveries for _, deliveries in records) / arguments.followers - 1
    for name in (*workers, "worker-after"):
        deployment.stack.stop_process(f"{deployment.namespace}{name}")
    return (
        f"pushed within {records[-1][0] - records[0][0]:.1f} s, at most {most_in_a_second(records):,} in a "
        f"second, {100 * again:.1f}% twice; seen after {percentiles(seen_s)}"
    )


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", SETTINGS)
        deployment.prepare()
        deployment.start_api()
        readers = readers_of(arguments)
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            with console.status("making the network"):
                followers = giant_followers(arguments.followers)
                await load_followers(stores, deployment.settings, GIANT, followers, readers)
        for workers, kill in ((["one"], False), (["one", "two"], False), (["one", "two"], True)):
            said = await push(deployment, workers, arguments, kill=kill)
            console.print(f"{len(workers)} workers{', killed at half' if kill else ''}: {said}")
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, followers=1_000_000, readers=50), Console()))


if __name__ == "__main__":
    main()
