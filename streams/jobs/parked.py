"""Check again for originals that were missing: queue their thumbnails, or reject their photos."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from schemas.internal import ThumbnailTask
from streams.clock import unix_ms
from streams.core.photos import ParkedPhoto
from streams.errors import StoreUnavailable
from streams.metrics import PARKED
from streams.photos.rejected import photo_rejected
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.settings import OriginalSettings
from topics.catalogue import Lane

log = logging.getLogger(__name__)
ORIGINAL_MISSING = "original_missing"


def next_pause_s(pause_s: int, settings: OriginalSettings, *, is_idle: bool) -> int:
    """Return the pause after one that took `pause_s`; `is_idle` says that no photo was due."""
    return min(2 * pause_s, settings.original_idle_poll_s) if is_idle else settings.original_poll_s


@dataclass(slots=True)
class ParkedJob:
    """Checks parked photos. Several processes may do so at once: a second check is harmless."""

    settings: OriginalSettings
    stores: PhotoStores
    outbox: Outbox
    clock_ms: Callable[[], int] = unix_ms

    async def run(self) -> None:
        """Check every `original_poll_s` seconds; runs until cancelled.

        While no photo is due, the pauses double up to `original_idle_poll_s`.
        """
        pause_s = self.settings.original_poll_s
        while True:
            is_idle = False
            try:
                is_idle = not await self.run_once(self.clock_ms())
            except StoreUnavailable as error:
                log.debug("parked photos are looked at again soon: %s", error)
            pause_s = next_pause_s(pause_s, self.settings, is_idle=is_idle)
            await asyncio.sleep(pause_s)

    async def run_once(self, now_ms: int) -> int:
        """Check the photos that are due, at most `parked_batch_photos_max` of them; returns how many."""
        due = await self.stores.parked.due(now_ms, self.settings.parked_batch_photos_max)
        await asyncio.gather(*(self._look(photo, now_ms) for photo in due))
        return len(due)

    async def _look(self, parked: ParkedPhoto, now_ms: int) -> None:
        stored = (await self.stores.photos.get([parked.photo_id])).get(parked.photo_id)
        if stored is None or stored.deleted:
            outcome = "deleted"
        elif stored.reason is not None:
            await self._reject(parked, stored.reason)
            outcome = "rejected"
        elif await self.stores.media_objects.size(parked.object_key) is not None:
            task = ThumbnailTask(parked.photo_id, parked.author_id, parked.object_key, queued_ms=now_ms)
            await self.outbox.renditions([task], Lane.THUMBNAIL)
            outcome = "arrived"
        elif now_ms - parked.parked_ms >= self.settings.original_wait_s_max * 1_000:
            await self._reject(parked, ORIGINAL_MISSING)
            outcome = "rejected"
        else:
            later = replace(parked, due_ms=now_ms + self.settings.original_poll_s * 1_000)
            await self.stores.parked.park(later)
            outcome = "waiting"
        # Unpark last: if the process dies before this, the photo is only checked again.
        await self.stores.parked.unpark(parked)
        PARKED.labels(outcome).inc()
        if outcome != "waiting":
            extra = {"photo_id": str(parked.photo_id), "outcome": outcome}
            log.info("a parked photo waits no longer", extra=extra)

    async def _reject(self, parked: ParkedPhoto, reason: str) -> None:
        await photo_rejected(self.stores, self.outbox, parked.photo_id, parked.author_id, reason)
