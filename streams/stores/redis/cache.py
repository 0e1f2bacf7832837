"""The short-lived cache in Redis.

A key holds either a lease (`L` and its token) or a value (`V` and its bytes). Keys contain the
server's incarnation. Without it, a Redis that restarts with older data would return values that
were invalidated after that data was saved.
"""

import asyncio
from collections.abc import Mapping, Sequence
from secrets import token_bytes

from streams.ports.cache import Cache
from streams.stores.redis.client import RedisClient

LEASE_MS = 5_000  # Longer than a request may wait for the database.
_VALUE, _LEASE = b"V", b"L"


class RedisCache(Cache):
    """Values and leases in one Redis server."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._prefix = namespace.encode() + b"y"
        self._fill = client.script("cache_fill")

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        values = await self._client.call_in_incarnation(
            "get cached", lambda incarnation: self._client.ask(b"MGET", *self._names(keys, incarnation))
        )
        return [value[1:] if value is not None and value[:1] == _VALUE else None for value in values]

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        token = token_bytes(8)

        async def run(incarnation: bytes) -> None:
            value, life = _LEASE + token, b"%d" % LEASE_MS
            names = self._names(keys, incarnation)
            await asyncio.gather(
                *(self._client.ask(b"SET", name, value, b"NX", b"PX", life) for name in names)
            )

        await self._client.call_in_incarnation("lease cached", run)
        return token

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        if not values:
            return
        args = [_LEASE + token, b"%d" % (ttl_s * 1_000), *(_VALUE + value for value in values.values())]
        await self._client.call_in_incarnation(
            "fill cached",
            lambda incarnation: self._client.ask_script(
                self._fill, self._names(list(values), incarnation), args
            ),
        )

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        if keys:
            await self._client.call_in_incarnation(
                "invalidate cached",
                lambda incarnation: self._client.ask(b"UNLINK", *self._names(keys, incarnation)),
            )

    def _names(self, keys: Sequence[bytes], incarnation: bytes) -> list[bytes]:
        return [self._prefix + incarnation + key for key in keys]
