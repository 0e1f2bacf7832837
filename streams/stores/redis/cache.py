"""The short-lived cache in Redis.

A key holds either a lease (`L` and its token) or a value (`V` and its bytes). Keys contain the
server's incarnation. Without it, a Redis that restarts with older data would return values that
were invalidated after that data was saved.
"""

from collections.abc import Mapping, Sequence
from secrets import token_bytes

from streams.ports.cache import Cache
from streams.stores.cache.tails import TAIL_RECORDS_MAX
from streams.stores.redis.client import RedisClient

LEASE_MS = 5_000  # Longer than a request may wait for the database.
_VALUE, _LEASE = b"V", b"L"


class RedisCache(Cache):
    """Values and leases in one Redis server."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._prefix = namespace.encode() + b"y"
        self._fill = client.script("cache_fill")
        self._append = client.script("cache_append")

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        return values_of(
            await self._client.call_in_incarnation(
                "get cached", lambda incarnation: self._client.ask(*self.get_command(keys, incarnation))
            )
        )

    def get_command(self, keys: Sequence[bytes], incarnation: bytes) -> tuple[bytes, ...]:
        """Return the command whose reply `values_of` takes, for at least one key."""
        return b"MGET", *self._names(keys, incarnation)

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        token = token_bytes(8)

        async def run(incarnation: bytes) -> None:
            value, life = _LEASE + token, b"%d" % LEASE_MS
            await self._client.ask_together(
                [(b"SET", name, value, b"NX", b"PX", life) for name in self._names(keys, incarnation)]
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

    async def append(self, records: Mapping[bytes, Sequence[bytes]]) -> None:
        async def run(incarnation: bytes) -> None:
            names = self._names(list(records), incarnation)
            calls = [
                ((name,), (b"%d" % TAIL_RECORDS_MAX, *changes))
                for name, changes in zip(names, records.values(), strict=True)
            ]
            await self._client.ask_scripts(self._append, calls)

        await self._client.call_in_incarnation("append cached", run)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        if keys:
            await self._client.call_in_incarnation(
                "invalidate cached",
                lambda incarnation: self._client.ask(b"UNLINK", *self._names(keys, incarnation)),
            )

    def _names(self, keys: Sequence[bytes], incarnation: bytes) -> list[bytes]:
        prefix = self._prefix + incarnation
        return [prefix + key for key in keys]


def values_of(replies: Sequence[bytes | None]) -> list[bytes | None]:
    """Return the cached values; None for a key that has a lease or nothing."""
    return [value[1:] if value is not None and value[:1] == _VALUE else None for value in replies]
