"""How many originals one process holds, and who comes first: thumbnails before full renditions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from topics.catalogue import Lane


class DecodeSlots:
    """Shared by both lanes of `renditions` in one process.

    A full task does not begin while a thumbnail waits for a place; one that has begun goes
    on, at the lowest priority that the machine has. So sustained thumbnails hold full
    renditions back without end: their lag shows it, and more workers are the answer.
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
        """Inside, the task has its place."""
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
