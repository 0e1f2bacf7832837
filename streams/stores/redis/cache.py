"""The short-lived cache in Redis.

A key holds either a lease (`L`, the incarnation of the server, and a token) or a value (`V`, the
incarnation, and its bytes). Those of another incarnation count as missing. A Redis that restarts with older
data, or a replica that takes over, could otherwise return values that were invalidated after that data was
saved.

The incarnation is not in the key. In a cluster a slot may move to another server and back, and an
invalidation must find the value wherever it is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from secrets import token_bytes

from more_itertools import flatten

from streams.errors import StoreUnavailable
from streams.ports.cache import Cache
from streams.stores.cache.tails import TAIL_RECORDS_MAX
from streams.stores.redis.connection.client import INCARNATION_BYTES, Command, RedisClient, load_script

LEASE_MS = 5_000  # Longer than a request may wait for the database.
_VALUE, _LEASE = b"V", b"L"
_HEADER_BYTES = 1 + INCARNATION_BYTES


class RedisCache(Cache):
    """Values and leases in Redis."""

    def __init__(self, client: RedisClient, *, namespace: str, wait_s: float | None = None) -> None:
        """`wait_s` is how long `invalidate_reachable` waits for one of several servers; None is the client's
        own deadline."""
        self._client = client
        self._wait_s = wait_s
        self._prefix = namespace.encode() + b"z"
        self._lease = load_script("cache_lease")
        self._fill = load_script("cache_fill")
        self._append = load_script("cache_append")

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        names, together, commands = self.get_commands(keys)
        replies = await self._client.call("get cached", self._client.ask_reachable, commands)
        return self.values_of(names, together, replies)

    def get_commands(
        self, keys: Sequence[bytes]
    ) -> tuple[Sequence[bytes], Sequence[Sequence[int]], list[Command]]:
        """Return the names of the keys, which of them each command reads, and the commands.

        `values_of` takes the first two and the replies.
        """
        names = self._names(keys)
        together = list(self._client.together(names))
        return names, together, [(b"MGET", *(names[at] for at in indexes)) for indexes in together]

    def values_of(
        self, names: Sequence[bytes], together: Sequence[Sequence[int]], replies: Sequence[object]
    ) -> list[bytes | None]:
        """Return the cached values; None for a key that has a lease, or nothing.

        What a server has that does not respond is missing, too; its reply is a `StoreUnavailable`.
        """
        stored: list[bytes | None] = [None] * len(names)
        for indexes, reply in zip(together, replies, strict=True):
            if not isinstance(reply, StoreUnavailable):
                assert isinstance(reply, list)
                for at, value in zip(indexes, reply, strict=True):
                    stored[at] = value
        # A connection learns the incarnation before its first reply, so that of each reply is known by now.
        return [
            value[_HEADER_BYTES:]
            if value is not None and value[:_HEADER_BYTES] == _VALUE + self._client.incarnation_of(name)
            else None
            for name, value in zip(names, stored, strict=True)
        ]

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        token = token_bytes(8)
        names = self._names(keys)
        await self._client.call("lease cached", self._client.learn_incarnations, names)
        calls = [
            (
                [names[at] for at in indexes],
                [_LEASE, self._incarnation(names, indexes), token, b"%d" % LEASE_MS],
            )
            for indexes in self._client.together(names)
        ]
        # All, because a lease that arrives late, after an invalidation, must not be filled.
        await self._client.call("lease cached", self._client.ask_scripts, self._lease, calls)
        return token

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        if not values:
            return
        names, stored = self._names(list(values)), list(values.values())
        calls = []
        for indexes in self._client.together(names):
            incarnation = self._incarnation(names, indexes)
            # If the server has restarted since, the lease has another incarnation.
            args = [_LEASE + incarnation + token, b"%d" % (ttl_s * 1_000)]
            args += [_VALUE + incarnation + stored[at] for at in indexes]
            calls.append(([names[at] for at in indexes], args))
        await self._client.call("fill cached", self._client.ask_scripts, self._fill, calls)

    async def append(self, records: Mapping[bytes, Sequence[bytes]]) -> None:
        calls = [
            ((name,), (b"%d" % TAIL_RECORDS_MAX, *changes))
            for name, changes in zip(self._names(list(records)), records.values(), strict=True)
        ]
        await self._client.call("append cached", self._client.ask_scripts, self._append, calls)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        names = self._names(keys)
        commands = [(b"UNLINK", *(names[at] for at in indexes)) for indexes in self._client.together(names)]
        await self._client.call("invalidate cached", self._client.ask_together, commands)

    async def invalidate_reachable(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        if not self._client.is_cluster:
            await self.invalidate(keys)
            return frozenset()

        async def late(of_server: Sequence[bytes]) -> Sequence[bytes]:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self.invalidate(of_server)
            except (StoreUnavailable, TimeoutError):
                return of_server
            return ()

        by_server = await self._client.by_server(self._names(keys))
        return frozenset(
            flatten(await asyncio.gather(*(late([keys[at] for at in indexes]) for indexes in by_server)))
        )

    def _names(self, keys: Sequence[bytes]) -> list[bytes]:
        return [self._prefix + key for key in keys]

    def _incarnation(self, names: Sequence[bytes], indexes: Sequence[int]) -> bytes:
        return self._client.incarnation_of(names[indexes[0]])
