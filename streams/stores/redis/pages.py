"""What a page of the feed reads first, in one round trip."""

from collections.abc import Sequence

from schemas.ids import UserId
from streams.ports.timelines import PageStart, PageStarts
from streams.stores.redis.cache import RedisCache, values_of
from streams.stores.redis.client import RedisClient
from streams.stores.redis.timelines import RedisTimelines


class RedisPageStarts(PageStarts):
    """Reads one Redis server, which runs the commands of a connection in their order."""

    def __init__(self, client: RedisClient, cache: RedisCache, timelines: RedisTimelines) -> None:
        self._client = client
        self._cache = cache
        self._timelines = timelines

    async def read(self, keys: Sequence[bytes], reader: UserId) -> PageStart:
        # If the server has restarted, all commands are repeated, so their order holds.
        *cached, value, ttl_s, partitions = await self._client.call_in_incarnation(
            "begin a page",
            lambda incarnation: self._client.ask_together(
                [
                    *([self._cache.get_command(keys, incarnation)] if keys else []),
                    *self._timelines.read_commands(reader),
                    self._timelines.verified_command(incarnation),
                ]
            ),
        )
        await self._timelines.renew(reader, value, ttl_s)
        values = values_of(cached[0]) if cached else []
        return PageStart(values, value, self._timelines.are_verified(partitions))
