"""The short-lived cache in Redis.

A key holds either a lease (`L` and its token) or a value (`V` and its bytes). Keys contain the
server's incarnation. Without it, a Redis that restarts with older data would return values that
were invalidated after that data was saved.
"""

from collections.abc import Mapping, Sequence
from secrets import token_bytes

from streams.errors import StoreUnavailable
from streams.ports.cache import Cache
from streams.stores.cache.tails import TAIL_RECORDS_MAX
from streams.stores.redis.connection.client import Command, NameOf, RedisClient, load_script

LEASE_MS = 5_000  # Longer than a request may wait for the database.
_VALUE, _LEASE = b"V", b"L"


class RedisCache(Cache):
    """Values and leases in Redis."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._prefix = namespace.encode() + b"y"
        self._fill = load_script("cache_fill")
        self._append = load_script("cache_append")

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []

        async def run(name: NameOf) -> list[bytes | None]:
            names = self._names(keys, name)
            together = self._client.together(names)
            commands = [(b"MGET", *(names[at] for at in some)) for some in together]
            values: dict[int, bytes | None] = {}
            for some, reply in zip(together, await self._client.ask_reachable(commands), strict=True):
                # What a server has that does not respond is read from the database.
                found = [None] * len(some) if isinstance(reply, StoreUnavailable) else reply
                values |= zip(some, found, strict=True)
            return [values[at] for at in range(len(keys))]

        return values_of(await self._client.call_in_incarnation("get cached", run))

    def get_command(self, keys: Sequence[bytes], name: NameOf) -> Command:
        """Return the command whose reply `values_of` takes, for at least one key, without a cluster."""
        return b"MGET", *self._names(keys, name)

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        token = token_bytes(8)

        async def run(name: NameOf) -> None:
            value, life = _LEASE + token, b"%d" % LEASE_MS
            # All, because a lease that arrives late, after an invalidation, must not be filled.
            await self._client.ask_together(
                [(b"SET", each, value, b"NX", b"PX", life) for each in self._names(keys, name)]
            )

        await self._client.call_in_incarnation("lease cached", run)
        return token

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        if not values:
            return
        stored = [_VALUE + value for value in values.values()]
        args = [_LEASE + token, b"%d" % (ttl_s * 1_000)]

        async def run(name: NameOf) -> None:
            names = self._names(list(values), name)
            calls = [
                ([names[at] for at in some], [*args, *(stored[at] for at in some)])
                for some in self._client.together(names)
            ]
            await self._client.ask_scripts(self._fill, calls)

        await self._client.call_in_incarnation("fill cached", run)

    async def append(self, records: Mapping[bytes, Sequence[bytes]]) -> None:
        async def run(name: NameOf) -> None:
            calls = [
                ((each,), (b"%d" % TAIL_RECORDS_MAX, *changes))
                for each, changes in zip(self._names(list(records), name), records.values(), strict=True)
            ]
            await self._client.ask_scripts(self._append, calls)

        await self._client.call_in_incarnation("append cached", run)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        if not keys:
            return

        async def run(name: NameOf) -> None:
            await self._client.ask_together([(b"UNLINK", each) for each in self._names(keys, name)])

        await self._client.call_in_incarnation("invalidate cached", run)

    def _names(self, keys: Sequence[bytes], name: NameOf) -> list[bytes]:
        return [name(self._prefix, key) for key in keys]


def values_of(replies: Sequence[bytes | None]) -> list[bytes | None]:
    """Return the cached values; None for a key that has a lease or nothing."""
    return [value[1:] if value is not None and value[:1] == _VALUE else None for value in replies]
