"""Reads Redis keys for operators, who cannot easily do that by hand.

The keys are binary, and the names of cached values contain the server's incarnation.
"""

from dataclasses import dataclass

from schemas.ids import pack_id
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.client import RedisClient


@dataclass(frozen=True, slots=True)
class StoredTimeline:
    """A timeline's bytes, its TTL, and the memory that its key and its value take."""

    value: bytes
    ttl_s: int
    memory_bytes: int


class RedisInspect:
    """Reads only: it renews no TTL and takes no lease."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._timelines = namespace.encode() + b"t"
        self.cache = RedisCache(client, namespace=namespace)

    async def timeline(self, owner: int) -> StoredTimeline | None:
        """Return the owner's timeline without renewing its TTL; None if there is none."""
        redis, key = self._client.redis, self._timelines + pack_id(owner)
        value = await self._client.call("inspect", redis.get, key)
        if value is None:
            return None
        ttl_s = await self._client.call("inspect", redis.ttl, key)
        memory_bytes = await self._client.call("inspect", redis.memory_usage, key)
        return StoredTimeline(value, ttl_s, memory_bytes or 0)
