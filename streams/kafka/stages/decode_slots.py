"""Limit how many originals one process has in memory; thumbnails go before full renditions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from topics.catalogue import Lane


class DecodeSlots:
    """The slots that both lanes of `renditions` share in one process; a task holds one slot.

    A full task does not start while a thumbnail task waits for a slot. A full task that has started
    continues; its decoder has the lowest CPU priority, unless its original is large. So while
    thumbnail tasks are always waiting, no full task starts: the lag of the full lane grows, and the
    remedy is more workers.
    """

    def __init__(self, *, thumbnails_max: int, fulls_max: int) -> None:
        self._slots = {
            Lane.THUMBNAIL: asyncio.Semaphore(thumbnails_max),
            Lane.FULL: asyncio.Semaphore(fulls_max),
        }
        self._thumbnails_waiting = 0
        self._no_thumbnail_waits = asyncio.Event()
        self._no_thumbnail_waits.set()

    @asynccontextmanager
    async def of(self, lane: Lane) -> AsyncIterator[None]:
        """Wait for a slot of the lane, and hold it inside the block."""
        if lane is Lane.THUMBNAIL:
            await self._for_thumbnail()
        else:
            await self._for_full()
        try:
            yield
        finally:
            self._slots[lane].release()

    async def _for_thumbnail(self) -> None:
        self._thumbnails_waiting += 1
        self._no_thumbnail_waits.clear()
        try:
            await self._slots[Lane.THUMBNAIL].acquire()
        finally:
            self._thumbnails_waiting -= 1
            if not self._thumbnails_waiting:
                self._no_thumbnail_waits.set()

    async def _for_full(self) -> None:
        await self._slots[Lane.FULL].acquire()
        try:
            while self._thumbnails_waiting:
                await self._no_thumbnail_waits.wait()
        except BaseException:
            self._slots[Lane.FULL].release()
            raise
