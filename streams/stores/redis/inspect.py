"""Reads Redis keys for operators, who cannot easily do that by hand.

The keys are binary, and the names of cached values contain the server's incarnation.
"""

from dataclasses import dataclass

from schemas.ids import pack_id
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.connection.client import RedisClient
from streams.stores.redis.groups import groups_of


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
        self._prefix = namespace.encode() + b"t"
        self._groups = groups_of(is_cluster=client.is_cluster)
        self.cache = RedisCache(client, namespace=namespace)

    async def timeline(self, owner: int) -> StoredTimeline | None:
        """Return the owner's timeline without renewing its TTL; None if there is none."""
        key = self._prefix + self._groups.tags[self._groups.of(owner)] + pack_id(owner)
        commands = [(b"GET", key), (b"TTL", key), (b"MEMORY", b"USAGE", key)]
        value, ttl_s, memory_bytes = await self._client.call("inspect", self._client.ask_together, commands)
        return None if value is None else StoredTimeline(value, ttl_s, memory_bytes or 0)
