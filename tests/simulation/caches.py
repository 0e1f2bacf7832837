"""A cache on two servers, each of which may hang, and has what it had before when it goes on."""

from collections.abc import Callable, Collection, Mapping, Sequence

from streams.errors import StoreUnavailable
from streams.stores.memory.cache import MemoryCache
from streams.stores.memory.stores import memory_stores
from tests.worlds.api import NOW_MS, World, make_world_of

# What says whether a photo is ready: its row and its author's list.
MAY_HANG = (b"s", b"a")


class CacheOfTwo(MemoryCache):
    """The twin. What a server that hangs was sent, it does not execute later: the connection was closed."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(clock_ms)
        self.hangs: set[int] = set()

    def is_late(self, key: bytes) -> bool:
        """Whether the key is on a server that hangs."""
        return key.startswith(MAY_HANG) and sum(key) % 2 in self.hangs

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        values = await super().get(keys)
        return [None if self.is_late(key) else value for key, value in zip(keys, values, strict=True)]

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        token = await super().lease([key for key in keys if not self.is_late(key)])
        self._raise(keys)
        return token

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        here = {key: value for key, value in values.items() if not self.is_late(key)}
        await super().fill(token, here, ttl_s)
        self._raise(values)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        await self.invalidate_reachable(keys)
        self._raise(keys)

    async def invalidate_reachable(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        late = frozenset(filter(self.is_late, keys))
        await super().invalidate([key for key in keys if key not in late])
        return late

    def _raise(self, keys: Collection[bytes]) -> None:
        if any(map(self.is_late, keys)):
            raise StoreUnavailable("redis", "cache", "a server does not respond")


async def world_of_two(**overrides: object) -> tuple[World, CacheOfTwo]:
    """Make the API over such a cache."""
    made: list[World] = []

    def clock_ms() -> int:
        return made[0].clock.ms if made else NOW_MS

    cache = CacheOfTwo(clock_ms)
    made.append(await make_world_of(memory_stores(clock_ms=clock_ms, cache=cache), **overrides))
    return made[0], cache
