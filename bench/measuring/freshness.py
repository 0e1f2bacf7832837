"""Ordinary posts at a steady rate, and how long each takes to be in its reader's timeline.

The time runs from just before `photo.uploaded` is published until the photo is in the timeline in
Redis. The timeline is read every 20 ms; reading it more often takes CPU that the pipeline needs.
"""

import asyncio
import time
from contextlib import suppress

from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import PhotoId, UserId
from streams.core import ring
from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import Producer
from streams.ports.groups import Stores

AUTHORS = [UserId(number) for number in range(1_000, 1_100)]
READERS = [UserId(number) for number in range(2_000, 2_100)]
LOOK_S = 0.02
POST_EVERY_S = 0.05
GIVE_UP_S = 60.0


async def materialise(stores: Stores, owner: UserId) -> None:
    token = b"bench123"
    await stores.timelines.begin_rebuild(owner, token)
    await stores.timelines.finish_rebuild(owner, token, [], 0)


async def follow(deployment: Deployment, edges: list[tuple[UserId, UserId]]) -> None:
    """Publish each (follower, followee); returns when the workers have handled everything."""
    await deployment.publish(
        deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    )
    await deployment.drained(1_200)


async def make_readers(deployment: Deployment, stores: Stores) -> None:
    """Each author has one reader, who has a timeline."""
    await follow(deployment, list(zip(READERS, AUTHORS, strict=True)))
    for reader in READERS:
        await materialise(stores, reader)


async def freshness(deployment: Deployment, stores: Stores, posts: int) -> list[float]:
    """Post at a steady rate; seconds until each photo is in its reader's timeline."""
    async with Producer(deployment.settings, timeout_ms=60_000) as producer:

        async def post(number: int) -> float:
            await asyncio.sleep(number * POST_EVERY_S)
            [photo] = fresh_photo_ids(1)
            began = time.monotonic()
            at = number % len(AUTHORS)
            await producer.send([upload(deployment, photo, AUTHORS[at])])
            return await visible(stores, READERS[at], photo, began)

        return list(await asyncio.gather(*(post(number) for number in range(posts))))


async def visible(stores: Stores, reader: UserId, photo: PhotoId, began: float) -> float:
    while time.monotonic() - began < GIVE_UP_S:
        with suppress(StoreUnavailable):  # A bench may have killed the server.
            value = await stores.timelines.read(reader)
            if value is not None and photo in ring.parse(value).ids:
                return time.monotonic() - began
        await asyncio.sleep(LOOK_S)
    raise TimeoutError(f"{photo} is not in the timeline of {reader} after {GIVE_UP_S:.0f} s")
