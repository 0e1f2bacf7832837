"""Reads whose cost depends on one user, such as all their followees: one of a key at a time, then a rest.

`streams/turns.py`, which has turns and rests of requests, says how its rules differ.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from cachetools import LRUCache

from streams.stores.cache.database_reads import TooManyReads

R = TypeVar("R")

# After a large read its key rests this many times as long as the read took. So one client that changes
# and reads a large value in turn takes at most a quarter of the time of one connection.
REST_RATIO = 3
# The share of the wait for a turn that a rest may take. If it were the whole wait, a request could not
# succeed after a slow read, even if it were the only one.
REST_SHARE_MAX = 0.5
# Shorter rests are left out.
REST_S_MIN = 0.01
RESTING_KEYS_MAX = 10_000


class OneAtATime:
    """Lets one task at a time work on a key. The others wait for at most `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def is_taken(self, key: bytes) -> bool:
        """Return whether a task works on the key."""
        lock = self._locks.get(key)
        return lock is not None and lock.locked()

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[bool]:
        """Be the only one with the key's turn; yields whether this had to wait for another's.

        Raises:
            TooManyReads: The turn did not come within `wait_s`.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        waited = lock.locked()
        try:
            async with asyncio.timeout(self._wait_s):
                await lock.acquire()
        except TimeoutError:
            raise TooManyReads from None
        try:
            yield waited
        finally:
            lock.release()


@dataclass(slots=True, weakref_slot=True)
class _KeyReads:
    """The reads of one key: how many began, and the newest result with its number."""

    begun: int = 0
    result: Any = None
    result_number: int = 0


class LargeReads:
    """Runs the large reads of one process. A read waits for its key's turn for at most `wait_s`.

    It waits here, before it takes one of the slots that all reads share.
    """

    def __init__(self, wait_s: float, *, clock_s: Callable[[], float] = monotonic) -> None:
        self._wait_s = wait_s
        self._clock_s = clock_s
        self._turns = OneAtATime(wait_s)
        # Forgotten as soon as nobody waits for the key.
        self._reads: WeakValueDictionary[bytes, _KeyReads] = WeakValueDictionary()
        self._rest_until_s: LRUCache[bytes, float] = LRUCache(RESTING_KEYS_MAX)

    async def run(self, key: bytes, read: Callable[[bool], Awaitable[R]], *, waits: bool = True) -> R:
        """Return the result of a read of the key that began after this call; one runs at a time.

        All calls that wait for the same read get its result, so none waits for more than two reads and the
        rest between them. `read` is told whether it had to wait for another read.

        Raises:
            TooManyReads: The key's turn did not come within `wait_s`; or at once, if `waits` is false and
                the key is being read or rests.
        """
        if not waits and (self._turns.is_taken(key) or self._rest_s(key) > 0):
            raise TooManyReads
        reads = self._reads.setdefault(key, _KeyReads())
        begun_before = reads.begun
        async with self._turns.turn(key) as waited:
            if reads.result_number > begun_before:
                result: R = reads.result
                return result
            async with self._rested(key):
                reads.begun += 1
                result = await read(waited)
            reads.result, reads.result_number = result, reads.begun
            return result

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """Be the only large read of the key, for a result that is no other caller's.

        Raises:
            TooManyReads: The key's turn did not come within `wait_s`.
        """
        async with self._turns.turn(key), self._rested(key):
            yield

    @asynccontextmanager
    async def _rested(self, key: bytes) -> AsyncIterator[None]:
        """Wait until the key has rested. It rests again after the code inside."""
        rest_s = self._rest_s(key)
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        began_s = self._clock_s()
        try:
            yield
        finally:
            self._rest(key, self._clock_s() - began_s)

    def _rest_s(self, key: bytes) -> float:
        """Return how long the key still rests; not above 0 if it does not."""
        return self._rest_until_s.get(key, 0.0) - self._clock_s()

    def _rest(self, key: bytes, took_s: float) -> None:
        rest_s = min(took_s * REST_RATIO, self._wait_s * REST_SHARE_MAX)
        if rest_s >= REST_S_MIN:
            self._rest_until_s[key] = self._clock_s() + rest_s
