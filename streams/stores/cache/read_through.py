"""Read what the database holds through its short-lived copies.

Whichever store is down, what the other one has is answered, and the answer says what
was not found out. A copy is filled only under a lease taken before the database was
read, so a write in between leaves nothing old behind. Nothing is kept in the process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.errors import StoreUnavailable
from streams.ports.cache import Cache

V = TypeVar("V")


class TooManyReads(Exception):
    """As many reads of the database are under way as this process may have, and none ended in time."""


class DatabaseReads:
    """A bound on this process's reads of the database; whoever finds it full waits at most `wait_s`."""

    def __init__(self, in_flight_max: int, wait_s: float) -> None:
        self._slots = asyncio.Semaphore(in_flight_max)
        self._wait_s = wait_s

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the reads.

        Raises:
            TooManyReads: None came free within `wait_s`.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise TooManyReads from None
        try:
            yield
        finally:
            self._slots.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedKind(Generic[V]):
    """One kind of copy: its name in Redis, its bytes, and where the truth is read.

    `load` answers what exists of the ids asked for. What does not exist is kept as
    `absent` for `absent_ttl_s`; without it, it is looked for each time.
    """

    name: str
    key: Callable[[int], bytes]
    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    load: Callable[[Sequence[int]], Awaitable[Mapping[int, V]]]
    ttl_s: int
    absent: bytes | None = None
    absent_ttl_s: int = 1


@dataclass(slots=True)
class Found(Generic[V]):
    """What is known of the ids asked for: there with its value, not there at all, or unknown.

    `copies_answered` is False when Redis did not.
    """

    values: dict[int, V] = field(default_factory=dict)
    unknown: frozenset[int] = frozenset()
    cache_answered: bool = True


@dataclass(frozen=True, slots=True)
class ReadThrough:
    """Reads through `copies`. `count(kind, hits, misses)` hears how well that goes."""

    cache: Cache
    reads: DatabaseReads
    count: Callable[[str, int, int], None]

    async def get(self, kind: CachedKind[V], ids: Sequence[int]) -> Found[V]:
        """One call for the copies, and one of `load` for those that there are none of.

        Raises:
            TooManyReads: See `DatabaseReads`.
        """
        found, missing = await self._from_copies(kind, ids)
        self.count(kind.name, len(ids) - len(missing), len(missing))
        if not missing:
            return found
        token = await self._lease(kind, missing) if found.cache_answered else None
        try:
            async with self.reads.slot():
                loaded = await kind.load(missing)
        except StoreUnavailable:
            found.unknown = frozenset(missing)
            return found
        found.values.update(loaded)
        if token is not None:
            await self._fill(kind, token, missing, loaded)
        return found

    async def _from_copies(self, kind: CachedKind[V], ids: Sequence[int]) -> tuple[Found[V], list[int]]:
        found: Found[V] = Found()
        if not ids:
            return found, []
        try:
            cache = await self.cache.get([kind.key(each) for each in ids])
        except StoreUnavailable:
            found.cache_answered = False
            return found, list(ids)
        missing: list[int] = []
        for each, copy in zip(ids, cache, strict=True):
            if copy is None:
                missing.append(each)
            elif copy != kind.absent:
                found.values[each] = kind.decode(copy)
        return found, missing

    async def _lease(self, kind: CachedKind[V], ids: Sequence[int]) -> bytes | None:
        try:
            return await self.cache.lease([kind.key(each) for each in ids])
        except StoreUnavailable:
            return None

    async def _fill(
        self, kind: CachedKind[V], token: bytes, ids: Sequence[int], loaded: Mapping[int, V]
    ) -> None:
        there = {kind.key(each): kind.encode(value) for each, value in loaded.items()}
        try:
            if there:
                await self.cache.fill(token, there, kind.ttl_s)
            if kind.absent is not None and len(loaded) < len(ids):
                absent = {kind.key(each): kind.absent for each in ids if each not in loaded}
                await self.cache.fill(token, absent, kind.absent_ttl_s)
        except StoreUnavailable:
            pass  # The leases run out by themselves.
