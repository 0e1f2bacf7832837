"""The handler of the topic `uploads`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.envelope import PoisonEvent
from schemas.events import Event
from schemas.facts import PhotoDeleted, PhotoUploaded
from streams.clock import unix_ms
from streams.core.delivery import DeliveryRules
from streams.photos.deleted import photo_deleted
from streams.photos.uploaded import photos_uploaded
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from topics.sizes import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoEvents:
    """Handles batches of events of photos; handling an event again changes nothing."""

    stores: PhotoStores
    outbox: Outbox
    delivery_rules: DeliveryRules
    sizes: Sizes
    original_poll_ms: int
    clock_ms: Callable[[], int] = unix_ms

    async def handle(self, events: Sequence[Event]) -> list[PoisonEvent | None]:
        """Handle events in any order; returns for each None, or why it can never be handled.

        Raises:
            StoreUnavailable: Nothing is known about the writes; handle the events again.
        """
        uploads = {n: event.data for n, event in enumerate(events) if isinstance(event.data, PhotoUploaded)}
        deletes = {n: event.data for n, event in enumerate(events) if isinstance(event.data, PhotoDeleted)}
        uploaded, deleted = await asyncio.gather(
            self._uploaded(list(uploads.values())), self._deleted(list(deletes.values()))
        )
        outcomes = dict(zip(uploads, uploaded, strict=True)) | dict(zip(deletes, deleted, strict=True))
        return [outcomes[n] for n in range(len(events))]

    async def _uploaded(self, uploads: Sequence[PhotoUploaded]) -> list[PoisonEvent | None]:
        if not uploads:
            return []
        return await photos_uploaded(
            self.stores,
            self.outbox,
            uploads,
            delivery_rules=self.delivery_rules,
            sizes=self.sizes,
            now_ms=self.clock_ms(),
            original_poll_ms=self.original_poll_ms,
        )

    async def _deleted(self, deletes: Sequence[PhotoDeleted]) -> list[PoisonEvent | None]:
        async def outcome(data: PhotoDeleted) -> PoisonEvent | None:
            try:
                await photo_deleted(self.stores, self.outbox, data)
            except PoisonEvent as poison:
                return poison
            return None

        return await asyncio.gather(*(outcome(data) for data in deletes))
