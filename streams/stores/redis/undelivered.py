"""Photos whose delivery has begun and not ended, in Redis.

A lost Redis loses them together with the timelines, which are then rebuilt from the database.

In a cluster there are three lists, on three servers if there are so many. `begin` returns when two lists
have the photos, and `all` needs two lists, so one of those has them. No call needs the third one, which may
hang, be lost or come back older.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from more_itertools import flatten
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from schemas.ids import ID_BYTES, PhotoId, UserId, pack_id, unpack_id
from streams.clock import unix_ms
from streams.errors import StoreUnavailable
from streams.ports.photos import UndeliveredPhotos
from streams.stores.redis.connection.client import STORE, RedisClient
from streams.stores.redis.groups import groups_of

# As long as a task may wait in the log. Its handler then ends the entry.
KEPT_S = 7 * 86_400
LISTS = 3
# Two lists are enough, but workers of the version before write the first one alone. Redis responds in 5 ms.
LATE_READ_S = 0.05
# Ended entries that a list may still have: at most so many are remembered, and so many removed in one call.
LATE_ENDS_MAX, LATE_ENDS_A_CALL = 100_000, 500

Entry = bytes
T = TypeVar("T")


def lists_of(name: bytes, *, is_cluster: bool) -> list[bytes]:
    """Return the keys of the lists. The first is `name`, and each is in another third of the slots."""
    if not is_cluster:
        return [name]
    tags = groups_of(is_cluster=True).tags
    own = key_slot(name) * LISTS // REDIS_CLUSTER_HASH_SLOTS
    middles = [tags[(2 * third + 1) * len(tags) // (2 * LISTS)] for third in range(LISTS) if third != own]
    return [name, *(name + tag for tag in middles)]


class RedisUndeliveredPhotos(UndeliveredPhotos):
    """Each list is a sorted set: the ids of a photo and its author, by the time at which the delivery began.

    `wait_s` is how long one of several lists is waited for.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        namespace: str,
        wait_s: float,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._client = client
        self._keys = lists_of(namespace.encode() + b"w", is_cluster=client.is_cluster)
        self._wait_s = wait_s if len(self._keys) > 1 else None  # None is the client's own deadline.
        self._clock_ms = clock_ms
        self._late_ends: defaultdict[bytes, set[Entry]] = defaultdict(set)
        self._calls: set[asyncio.Future[Any]] = set()

    async def begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        entries = [*map(_entry, photos)]
        for late in self._late_ends.values():
            late.difference_update(entries)
        if entries:
            await self._on_most(lambda key: self._begin(key, entries))

    async def end(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        entries = [*map(_entry, photos)]
        if entries:
            await self._on_most(lambda key: self._end(key, entries))

    async def all(self) -> Mapping[PhotoId, UserId]:
        replies = await self._on_most(self._read, LATE_READ_S)
        return {
            PhotoId(unpack_id(entry[:ID_BYTES])): UserId(unpack_id(entry[ID_BYTES:]))
            for entry in flatten(replies)
        }

    async def _on_most(self, call: Callable[[bytes], Awaitable[T]], more_s: float = 0.0) -> list[T]:
        """Return the results of most lists, and of those that respond within `more_s` after them.

        The calls of the others go on, for `wait_s` at most.
        """
        calls = {asyncio.ensure_future(call(key)) for key in self._keys}
        self._calls |= calls
        for each in calls:
            each.add_done_callback(self._ended)
        results: list[T] = []
        most = len(calls) // 2 + 1
        while len(results) < most:
            done, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            results += [each.result() for each in done if each.exception() is None]
            if len(results) + len(calls) < most:
                raise next(error for each in done if (error := each.exception()) is not None)
        if calls and more_s:
            done, _ = await asyncio.wait(calls, timeout=more_s)
            results += [each.result() for each in done if each.exception() is None]
        return results

    def _ended(self, call: asyncio.Future[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # Nobody may wait for it any more.

    async def _begin(self, key: bytes, entries: Sequence[Entry]) -> None:
        now_ms = self._clock_ms()
        scored = [part for entry in entries for part in (b"%d" % now_ms, entry)]
        commands = [
            (b"ZADD", key, *scored),
            (b"ZREMRANGEBYSCORE", key, b"-inf", b"%d" % (now_ms - KEPT_S * 1_000)),
        ]
        await self._in_time("begin delivery", self._client.ask_together, commands)

    async def _end(self, key: bytes, entries: Sequence[Entry]) -> None:
        late_ends = self._late_ends[key]
        late = [*islice(late_ends, LATE_ENDS_A_CALL)]
        try:
            await self._in_time("end delivery", self._client.ask, b"ZREM", key, *entries, *late)
        except StoreUnavailable:
            if len(late_ends) < LATE_ENDS_MAX:
                late_ends.update(entries)
            raise
        late_ends.difference_update(late)

    async def _read(self, key: bytes) -> Collection[Entry]:
        entries: Collection[Entry] = await self._in_time(
            "undelivered", self._client.ask, b"ZRANGE", key, b"0", b"-1"
        )
        return entries

    async def _in_time(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._client.call(operation, run, *args)
        except TimeoutError as error:
            raise StoreUnavailable(STORE, operation, f"not within {self._wait_s} s") from error


def _entry(photo: tuple[PhotoId, UserId]) -> Entry:
    return pack_id(photo[0]) + pack_id(photo[1])
