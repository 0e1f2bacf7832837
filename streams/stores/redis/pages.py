"""What a page of the feed reads first: in one round trip, or in two if Redis is a cluster."""

from collections.abc import Sequence
from typing import Any

from schemas.ids import UserId
from streams.ports.timelines import PageStart, PageStarts
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.connection.client import NameOf, RedisClient
from streams.stores.redis.timelines import RedisTimelines


class RedisPageStarts(PageStarts):
    """Reads the cache, then the timeline. One server runs the commands of a connection in their order."""

    def __init__(self, client: RedisClient, cache: RedisCache, timelines: RedisTimelines) -> None:
        self._client = client
        self._cache = cache
        self._timelines = timelines

    async def read(self, keys: Sequence[bytes], reader: UserId) -> PageStart:
        values: Sequence[bytes | None] = []
        if self._client.is_cluster:
            values, keys = await self._cache.get(keys), ()
        names, together, commands = self._cache.get_commands(keys)
        commands += self._timelines.read_commands(reader)

        async def run(name: NameOf) -> list[Any]:
            verified = await self._timelines.verified_command(name, reader)
            return await self._client.ask_together([*commands, verified])

        # If the server has restarted, all commands are repeated, so their order holds.
        *cached, value, ttl_s, partitions = await self._client.call_in_incarnation("begin a page", run)
        if keys:
            values = self._cache.values_of(names, together, cached)
        await self._timelines.renew(reader, value, ttl_s)
        return PageStart(values, value, self._timelines.are_verified(partitions))
