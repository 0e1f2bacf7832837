"""Bounds a process's reads of the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TooManyReads(Exception):
    """This process has its maximum of database reads under way, and none of them ended in time."""


class DatabaseReads:
    """Bounds this process's reads of the database. A read waits for a slot for at most `wait_s`."""

    def __init__(self, in_flight_max: int, wait_s: float) -> None:
        self._slots = asyncio.Semaphore(in_flight_max)
        self._wait_s = wait_s

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
