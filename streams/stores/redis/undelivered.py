"""Photos whose delivery has begun and not ended, in Redis.

A lost Redis loses them together with the timelines, which are then rebuilt from the database.
"""

import asyncio
from collections.abc import Callable, Mapping

from schemas.ids import ID_BYTES, PhotoId, UserId, pack_id, unpack_id
from streams.clock import unix_ms
from streams.ports.photos import UndeliveredPhotos
from streams.stores.redis.client import RedisClient

# As long as a task may wait in the log. Its handler then ends the entry, if the photo still exists.
KEPT_S = 7 * 86_400


class RedisUndeliveredPhotos(UndeliveredPhotos):
    """One sorted set: the ids of a photo and its author, by the time at which the delivery began."""

    def __init__(self, client: RedisClient, *, namespace: str, clock_ms: Callable[[], int] = unix_ms) -> None:
        self._client = client
        self._key = namespace.encode() + b"w"
        self._clock_ms = clock_ms

    async def begin(self, photo: PhotoId, author: UserId) -> None:
        await self._client.call("begin delivery", self._begin, photo, author)

    async def end(self, photo: PhotoId, author: UserId) -> None:
        await self._client.call(
            "end delivery", self._client.ask, b"ZREM", self._key, pack_id(photo) + pack_id(author)
        )

    async def all(self) -> Mapping[PhotoId, UserId]:
        entries = await self._client.call("undelivered", self._client.ask, b"ZRANGE", self._key, b"0", b"-1")
        return {
            PhotoId(unpack_id(entry[:ID_BYTES])): UserId(unpack_id(entry[ID_BYTES:])) for entry in entries
        }

    async def _begin(self, photo: PhotoId, author: UserId) -> None:
        now_ms = self._clock_ms()
        await asyncio.gather(
            self._client.ask(b"ZADD", self._key, b"%d" % now_ms, pack_id(photo) + pack_id(author)),
            self._client.ask(b"ZREMRANGEBYSCORE", self._key, b"-inf", b"%d" % (now_ms - KEPT_S * 1_000)),
        )
