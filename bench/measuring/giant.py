"""A giant account, 50,000 followers with timelines, and pages of it on the bulk lane."""

import asyncio
import time

from bench.measuring.freshness import follow, materialise
from bench.traffic.events import fresh_photo_ids
from infra.local.deployment import Deployment
from schemas.ids import UserId
from schemas.internal import FanoutPage, SetKind
from streams.core.counted import bucket_ranges
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.ports.groups import Stores
from topics.catalogue import Lane

GIANT = UserId(1)
GIANT_FOLLOWERS = 50_000
_FOLLOWER_FROM = 10_000


async def make_giant(deployment: Deployment, stores: Stores) -> None:
    """Publish the giant's followers, and give each a timeline."""
    followers = [UserId(_FOLLOWER_FROM + number) for number in range(GIANT_FOLLOWERS)]
    await follow(deployment, [(follower, GIANT) for follower in followers])
    for start in range(0, len(followers), 500):
        await asyncio.gather(*(materialise(stores, owner) for owner in followers[start : start + 500]))


async def queue_bulk(deployment: Deployment, stores: Stores, deliveries: int) -> int:
    """Put pages of the giant on the bulk lane until they add up to `deliveries`; returns how many photos."""
    level = (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [GIANT]))[GIANT].level
    photos = fresh_photo_ids(-(-deliveries // GIANT_FOLLOWERS))
    async with Producer(deployment.settings, timeout_ms=60_000) as producer:
        outbox = KafkaOutbox(producer, deployment.namespace, deployment.sizes)
        now_ms = time.time_ns() // 1_000_000
        for photo in photos:
            pages = [
                FanoutPage(photo, GIANT, level, buckets[0], now_ms, len(buckets))
                for buckets in bucket_ranges(GIANT_FOLLOWERS, level)
            ]
            await outbox.fanout(pages, Lane.BULK)
    return len(photos)
