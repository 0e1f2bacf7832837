"""The key that shows whether Redis takes writes and reads, and Redis's clock."""

from streams.clock import unix_us
from streams.ports.health import StoreClock, StoreProbe
from streams.stores.redis.connection.client import RedisClient

LIFE_MS = b"60000"


class RedisStoreProbe(StoreProbe):
    """One key of a byte; it expires a minute after the last process has stopped."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._key = f"{namespace}probe".encode()

    async def check(self) -> None:
        await self._client.call("probe", self._client.ask, b"SET", self._key, b"1", b"PX", LIFE_MS)
        await self._client.call("probe", self._client.ask, b"GET", self._key)


class RedisStoreClock(StoreClock):
    """The clock of the server; in a cluster, of the one that differs most from this process."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def now_us(self) -> int:
        differences: list[int] = []
        for server in await self._client.servers():
            seconds, microseconds = await server.call("TIME", server.ask, b"TIME")
            differences.append(int(seconds) * 1_000_000 + int(microseconds) - unix_us())
        return unix_us() + max(differences, key=abs)
