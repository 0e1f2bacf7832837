"""Bounds on the reads of the database that one process has under way: in all, and for one key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakValueDictionary

from cachetools import LRUCache

# After a large read its key rests this many times as long as the read took. So one client that changes
# and reads a large value in turn takes at most a quarter of the time of one connection.
REST_RATIO = 3
# The share of the wait for a turn that a rest may take. If it were the whole wait, a request could not
# succeed after a slow read, even if it were the only one.
REST_SHARE_MAX = 0.5
# Shorter rests are left out.
REST_S_MIN = 0.01
RESTING_KEYS_MAX = 10_000


class TooManyReads(Exception):
    """This process has its maximum of database reads under way, and none of them ended in time."""


class KeyTurns:
    """Lets one task at a time work on a key. The others wait for at most `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[bool]:
        """Be the only one with the key's turn; yields whether another task had it meanwhile.

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


class DatabaseReads:
    """Bounds this process's reads of the database. A read waits for a slot for at most `wait_s`.

    A read whose cost depends on one user, such as all their followees, first waits for its key's turn
    (`turns`). So it holds no slot while it waits for another read of the same key.
    """

    def __init__(
        self, in_flight_max: int, wait_s: float, *, clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._slots = asyncio.Semaphore(in_flight_max)
        self._wait_s = wait_s
        self._clock_s = clock_s
        self.turns = KeyTurns(wait_s)
        self._rest_until_s: LRUCache[bytes, float] = LRUCache(RESTING_KEYS_MAX)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot.

        Raises:
            TooManyReads: No slot was free within `wait_s`.
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

    @asynccontextmanager
    async def paced(self, key: bytes) -> AsyncIterator[None]:
        """Do one read of the key, after the rest that its last read needs. Only within its turn."""
        rest_s = self._rest_until_s.get(key, 0.0) - self._clock_s()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        began_s = self._clock_s()
        try:
            yield
        finally:
            now_s = self._clock_s()
            rest_s = min((now_s - began_s) * REST_RATIO, self._wait_s * REST_SHARE_MAX)
            if rest_s >= REST_S_MIN:
                self._rest_until_s[key] = now_s + rest_s
