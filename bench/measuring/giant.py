"""Giant accounts whose followers have timelines, and pages of theirs on the bulk lane."""

import asyncio
import time
from collections.abc import Sequence

from more_itertools import sliced

from bench.measuring.freshness import follow, materialise
from bench.traffic.events import fresh_photo_ids
from infra.local.deployment import Deployment
from schemas.ids import UserId
from schemas.internal import SetKind
from streams.core.sets import SetSummary
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.photos.fanout_messages import pages_of
from streams.ports.groups import Stores
from topics.catalogue import Lane

GIANT = UserId(1)
GIANT_FOLLOWERS = 50_000
_FOLLOWER_FROM = 10_000
PHOTOS_A_CALL = 500


async def make_giant(deployment: Deployment, stores: Stores) -> None:
    """Publish the giant's followers, and give each a timeline."""
    followers = giant_followers(GIANT_FOLLOWERS)
    await follow(deployment, [(follower, GIANT) for follower in followers])
    await materialise_all(stores, followers)


def giant_followers(count: int) -> Sequence[UserId]:
    """The first followers of a giant; giants share them."""
    return [UserId(_FOLLOWER_FROM + number) for number in range(count)]


async def materialise_all(stores: Stores, owners: Sequence[UserId]) -> None:
    for some in sliced(owners, 500):
        await asyncio.gather(*(materialise(stores, owner) for owner in some))


async def queue_bulk(
    deployment: Deployment,
    stores: Stores,
    deliveries: int,
    *,
    giants: Sequence[UserId] = (GIANT,),
    followers: int = GIANT_FOLLOWERS,
) -> int:
    """Put pages on the bulk lane that add up to `deliveries` for each giant; returns how many photos."""
    summaries = await stores.counted_sets.summaries(SetKind.FOLLOWERS, giants)
    count = -(-deliveries // followers)
    photos = [(photo, giant) for giant in giants for photo in fresh_photo_ids(count)]
    async with Producer(deployment.settings, timeout_ms=60_000) as producer:
        outbox = KafkaOutbox(producer, deployment.namespace, deployment.sizes)
        now_ms = time.time_ns() // 1_000_000
        for some in sliced(photos, PHOTOS_A_CALL):
            pages = [
                page
                for photo, giant in some
                for page in pages_of(photo, giant, SetSummary(summaries[giant].level, followers), now_ms)
            ]
            await outbox.fanout(pages, Lane.BULK)
    return len(photos)
