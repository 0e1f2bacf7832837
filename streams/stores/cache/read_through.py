"""Read the database through the short-lived cache.

If the cache or the database is down, a read returns what the other one has, and says which ids are
unknown. A value is cached only under a lease that was taken before the database was read. A write
in between removes the lease, so an old value is never cached after the write. This process itself
caches nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from streams.errors import StoreUnavailable
from streams.joined_reads import JoinedReads
from streams.ports.cache import Cache
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedKind(Generic[V]):
    """One kind of cached value: its key, its bytes, and how it is loaded from the database.

    `load` returns the values of the ids that exist. An id that does not exist is cached as `absent`
    for `absent_ttl_s`; without `absent` it is loaded again each time.

    A kind that is `large` is read for one id at a time. Its loads take as long as that id's value is
    large, so an id has at most one load under way, and its next load waits.

    A kind that is `joined` is loaded together for all requests that miss values of it while a load is under
    way: many readers share a giant's list, and miss it in the moment in which it expires.
    """

    name: str
    key: Callable[[int], bytes]
    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    load: Callable[[Sequence[int]], Awaitable[Mapping[int, V]]]
    ttl_s: int
    absent: bytes | None = None
    absent_ttl_s: int = 1
    large: bool = False
    joined: bool = False


@dataclass(slots=True)
class ReadResult(Generic[V]):
    """What is known of the requested ids.

    An id is in `values`, or in `unknown` because both stores failed, or in neither: then it does
    not exist. `cache_answered` is False if the cache was unavailable.
    """

    values: dict[int, V] = field(default_factory=dict)
    unknown: frozenset[int] = frozenset()
    cache_answered: bool = True


@dataclass(frozen=True, slots=True)
class ReadThrough:
    """Reads through `cache`. Every read calls `count(name of the kind, hits, misses)`."""

    cache: Cache
    reads: DatabaseReads
    count: Callable[[str, int, int], None]
    large_reads: LargeReads
    _joined: dict[str, JoinedReads[int, Any]] = field(default_factory=dict, init=False)

    async def get(self, kind: CachedKind[V], ids: Sequence[int], *, waits: bool = True) -> ReadResult[V]:
        """Read the cache with one call, and load the missing ids with one call of `load`.

        Raises:
            TooManyReads: See `DatabaseReads`, and for a large kind `LargeReads.run`.
        """
        return await self.completed(kind, ids, await self._from_cache(kind, ids), waits=waits)

    async def completed(
        self,
        kind: CachedKind[V],
        ids: Sequence[int],
        cached: Sequence[bytes | None] | None,
        *,
        waits: bool = True,
    ) -> ReadResult[V]:
        """Like `get`, if the cache has been read: `cached` are its values, or None if it did not respond.

        Raises:
            TooManyReads: See `get`.
        """
        result, missing = known(kind, ids, cached)
        self.count(kind.name, len(ids) - len(missing), len(missing))
        if not missing:
            return result
        if not kind.large:
            return await self._load(kind, ids, result, missing)

        async def read(waited: bool) -> ReadResult[V]:
            if not waited:
                return await self._load(kind, ids, result, missing)
            # The read before this one may have cached the value.
            looked, still_missing = known(kind, ids, await self._from_cache(kind, ids))
            return await self._load(kind, ids, looked, still_missing) if still_missing else looked

        return await self.large_reads.run(kind.key(missing[0]), read, waits=waits)

    async def _load(
        self, kind: CachedKind[V], ids: Sequence[int], result: ReadResult[V], missing: Sequence[int]
    ) -> ReadResult[V]:
        token = await self._lease(kind, missing) if result.cache_answered else None
        try:
            # Each lease is older than the load, also where the load is that of several requests.
            loaded = await (self._join(kind, missing) if kind.joined else self._in_slot(kind, missing))
        except StoreUnavailable:
            result.unknown = frozenset(missing)
            return result
        result.values.update(loaded)
        if token is not None:
            await self._fill(kind, token, missing, loaded)
        return result

    async def _in_slot(self, kind: CachedKind[V], ids: Sequence[int]) -> Mapping[int, V]:
        async with self.reads.slot():
            return await kind.load(ids)

    async def _join(self, kind: CachedKind[V], ids: Sequence[int]) -> Mapping[int, V]:
        reads = self._joined.setdefault(kind.name, JoinedReads(partial(self._in_slot, kind)))
        values = await reads.get(ids)
        return {id_: values[id_] for id_ in ids if id_ in values}

    async def _from_cache(self, kind: CachedKind[V], ids: Sequence[int]) -> Sequence[bytes | None] | None:
        try:
            return await self.cache.get([kind.key(id_) for id_ in ids]) if ids else []
        except StoreUnavailable:
            return None

    async def _lease(self, kind: CachedKind[V], ids: Sequence[int]) -> bytes | None:
        try:
            return await self.cache.lease([kind.key(id_) for id_ in ids])
        except StoreUnavailable:
            return None

    async def _fill(
        self, kind: CachedKind[V], token: bytes, ids: Sequence[int], loaded: Mapping[int, V]
    ) -> None:
        values = {kind.key(id_): kind.encode(value) for id_, value in loaded.items()}
        try:
            if values:
                await self.cache.fill(token, values, kind.ttl_s)
            if kind.absent is not None and len(loaded) < len(ids):
                absent = {kind.key(id_): kind.absent for id_ in ids if id_ not in loaded}
                await self.cache.fill(token, absent, kind.absent_ttl_s)
        except StoreUnavailable:
            pass  # The leases expire by themselves.


def known(
    kind: CachedKind[V], ids: Sequence[int], cached: Sequence[bytes | None] | None
) -> tuple[ReadResult[V], list[int]]:
    """Return what the values of the cache say, and the ids that it lacks; None if it did not respond."""
    result: ReadResult[V] = ReadResult()
    if cached is None:
        result.cache_answered = False
        return result, list(ids)
    missing: list[int] = []
    for id_, value in zip(ids, cached, strict=True):
        if value is None:
            missing.append(id_)
        elif value != kind.absent:
            result.values[id_] = kind.decode(value)
    return result, missing
