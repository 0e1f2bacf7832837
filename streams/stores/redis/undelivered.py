"""Photos whose delivery has begun and not ended, in Redis.

A lost Redis loses them together with the timelines, which are then rebuilt from the database.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from schemas.ids import ID_BYTES, PhotoId, UserId, pack_id, unpack_id
from streams.clock import unix_ms
from streams.ports.photos import UndeliveredPhotos
from streams.stores.redis.connection.client import RedisClient

# As long as a task may wait in the log. Its handler then ends the entry.
KEPT_S = 7 * 86_400


class RedisUndeliveredPhotos(UndeliveredPhotos):
    """One sorted set: the ids of a photo and its author, by the time at which the delivery began."""

    def __init__(self, client: RedisClient, *, namespace: str, clock_ms: Callable[[], int] = unix_ms) -> None:
        self._client = client
        self._key = namespace.encode() + b"w"
        self._clock_ms = clock_ms

    async def begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        if photos:
            await self._client.call("begin delivery", self._begin, photos)

    async def end(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        if photos:
            await self._client.call(
                "end delivery", self._client.ask, b"ZREM", self._key, *map(_entry, photos)
            )

    async def all(self) -> Mapping[PhotoId, UserId]:
        entries = await self._client.call("undelivered", self._client.ask, b"ZRANGE", self._key, b"0", b"-1")
        return {
            PhotoId(unpack_id(entry[:ID_BYTES])): UserId(unpack_id(entry[ID_BYTES:])) for entry in entries
        }

    async def _begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        now_ms = self._clock_ms()
        entries = [part for photo in photos for part in (b"%d" % now_ms, _entry(photo))]
        await asyncio.gather(
            self._client.ask(b"ZADD", self._key, *entries),
            self._client.ask(b"ZREMRANGEBYSCORE", self._key, b"-inf", b"%d" % (now_ms - KEPT_S * 1_000)),
        )


def _entry(photo: tuple[PhotoId, UserId]) -> bytes:
    return pack_id(photo[0]) + pack_id(photo[1])
