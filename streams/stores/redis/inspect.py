"""Redis keys as an operator wants to see them: they are binary, and named by server incarnation."""

from dataclasses import dataclass

from schemas.ids import pack_id
from streams.core.breaker import Breaker
from streams.settings import Settings
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.client import RedisClient


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A timeline's bytes, its life in seconds, and the memory that it takes with its key."""

    value: bytes
    ttl_s: int
    memory_bytes: int


class RedisInspect:
    """Looks without renewing, leasing or changing anything. Close it in the end."""

    def __init__(self, settings: Settings) -> None:
        timeout_s = settings.worker_store_timeout_ms / 1_000
        breaker = Breaker(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_ms / 1_000)
        self._client = RedisClient(settings.redis, breaker, timeout_s)
        self._timelines = settings.namespace.encode() + b"t"
        self.cache = RedisCache(self._client, namespace=settings.namespace)

    async def timeline(self, owner: int) -> StoredKey | None:
        """The owner's timeline, or None when there is none; does not renew its life."""
        redis, key = self._client.redis, self._timelines + pack_id(owner)
        value = await self._client.call("inspect", redis.get, key)
        if value is None:
            return None
        ttl_s = await self._client.call("inspect", redis.ttl, key)
        memory_bytes = await self._client.call("inspect", redis.memory_usage, key)
        return StoredKey(value, ttl_s, memory_bytes or 0)

    async def close(self) -> None:
        await self._client.close()
