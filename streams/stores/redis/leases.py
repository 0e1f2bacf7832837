"""The slots that all processes share, in Redis."""

from streams.ports.leases import Leases
from streams.stores.redis.connection.client import RedisClient, load_script


class RedisLeases(Leases):
    """One sorted set for each name: the holders by the time at which they lose their slot."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._prefix = f"{namespace}lease:"
        self._take = load_script("lease_take")

    async def take(self, name: str, holder: str, *, slots_max: int, ttl_ms: int) -> bool:
        args = [holder.encode(), b"%d" % slots_max, b"%d" % ttl_ms]
        return bool(
            await self._client.call("leases", self._client.ask_script, self._take, [self._key(name)], args)
        )

    async def release(self, name: str, holder: str) -> None:
        # By the same connection as `take`, which keeps the order.
        await self._client.call("leases", self._client.ask, b"ZREM", self._key(name), holder.encode())

    def _key(self, name: str) -> bytes:
        return f"{self._prefix}{name}".encode()
