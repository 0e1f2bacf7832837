"""Read the database through the short-lived cache.

If the cache or the database is down, a read returns what the other one has, and says which ids are
unknown. A value is cached only under a lease that was taken before the database was read. A write
in between removes the lease, so an old value is never cached after the write. This process itself
caches nothing.

Many requests share what they read at the same moment, and nothing else: each gets a read that began after
it asked. So a page that begins after a delete was acknowledged never gets what was read before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from more_itertools import sliced

from streams.errors import StoreUnavailable
from streams.joined_reads import JoinedReads
from streams.ports.cache import Cache
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads

V = TypeVar("V")

# The requests of a process share a call of the cache. 1,000 values of half a kilobyte take a millisecond or
# two of the server's one core, and the requests of other processes wait for that.
KEYS_A_CALL_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedKind(Generic[V]):
    """One kind of cached value: its key, its bytes, and how it is loaded from the database.

    `load` returns the values of the ids that exist. An id that does not exist is cached as `absent`
    for `absent_ttl_s`; without `absent` it is loaded again each time.

    A kind that is `large` is read for one id at a time. Its loads take as long as that id's value is
    large, so an id has at most one load under way, and its next load waits.

    Requests that miss the same values share a load. If the kind is `joined`, so do all requests that miss
    any: readers of the same giants each miss other sets of their lists when these expire.
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
    _loads: WeakValueDictionary[Hashable, JoinedReads[int, Any]] = field(
        default_factory=WeakValueDictionary, init=False
    )
    _cached: JoinedReads[bytes, bytes | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cached", JoinedReads(self._read_cache))

    async def cached(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the cached value of each key, in order, from a call that all who ask meanwhile share.

        Raises:
            StoreUnavailable: The cache did not respond.
        """
        values = await self._cached.get(keys)
        return [values[key] for key in keys]

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
        try:
            if kind.large:
                loaded = await self._read(kind, missing, fills=result.cache_answered)
            else:
                loaded = await self._joined_reads(kind, missing, result.cache_answered).get(missing)
        except StoreUnavailable:
            result.unknown = frozenset(missing)
            return result
        result.values.update({id_: loaded[id_] for id_ in missing if id_ in loaded})
        return result

    def _joined_reads(self, kind: CachedKind[V], ids: Sequence[int], fills: bool) -> JoinedReads[int, V]:
        """Return the loads that one of these ids may join. They are forgotten when nobody waits for them."""
        # By keys and not by ids: those of likes are eras, which are the same for all users.
        name = (kind.name, fills, () if kind.joined else tuple(map(kind.key, ids)))
        reads = self._loads.get(name)
        if reads is None:
            reads = JoinedReads(partial(self._read, kind, fills=fills), for_all=kind.joined)
            self._loads[name] = reads
        return reads

    async def _read(self, kind: CachedKind[V], ids: Sequence[int], *, fills: bool) -> Mapping[int, V]:
        """Load values. The lease is older than the load, also where the load is that of several requests."""
        token = await self._lease(kind, ids) if fills else None
        async with self.reads.slot():
            loaded = await kind.load(ids)
        if token is not None:
            await self._fill(kind, token, ids, loaded)
        return loaded

    async def _read_cache(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        if len(keys) <= KEYS_A_CALL_MAX:  # Nearly always; tasks would cost as much as the call.
            return dict(zip(keys, await self.cache.get(keys), strict=True))
        calls = [list(call) for call in sliced(keys, KEYS_A_CALL_MAX)]
        values = await asyncio.gather(*map(self.cache.get, calls))
        return dict(zip(keys, chain.from_iterable(values), strict=True))

    async def _from_cache(self, kind: CachedKind[V], ids: Sequence[int]) -> Sequence[bytes | None] | None:
        keys = [kind.key(id_) for id_ in ids]
        if not keys:
            return []
        try:
            return await (self.cache.get(keys) if kind.large else self.cached(keys))
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
