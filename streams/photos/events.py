"""The handlers of the topic `uploads`, by event type."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from schemas.events import Event, EventType
from schemas.facts import PhotoDeleted, PhotoUploaded
from streams.clock import unix_ms
from streams.core.delivery import DeliveryLimits
from streams.photos.deleted import photo_deleted
from streams.photos.uploaded import photo_uploaded
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoEvents:
    """Handles the events of photos, one at a time; handling an event again changes nothing."""

    stores: PhotoStores
    outbox: Outbox
    limits: DeliveryLimits
    original_poll_ms: int
    clock_ms: Callable[[], int] = unix_ms

    async def handle(self, event: Event) -> None:
        """Handle one event whose type is in `PHOTO_HANDLERS`.

        Raises:
            PoisonEvent: The event can never be handled.
            StoreUnavailable: Nothing is known about the writes; handle the event again.
        """
        await PHOTO_HANDLERS[event.type](self, event.data)

    async def uploaded(self, data: PhotoUploaded) -> None:
        await photo_uploaded(
            self.stores,
            self.outbox,
            data,
            limits=self.limits,
            now_ms=self.clock_ms(),
            original_poll_ms=self.original_poll_ms,
        )

    async def deleted(self, data: PhotoDeleted) -> None:
        await photo_deleted(self.stores, self.outbox, data)


# Each handler takes the data that `EVENT_KINDS` names for its type.
PHOTO_HANDLERS: Mapping[EventType, Callable[[PhotoEvents, Any], Awaitable[None]]] = MappingProxyType(
    {
        EventType.PHOTO_UPLOADED: PhotoEvents.uploaded,
        EventType.PHOTO_DELETED: PhotoEvents.deleted,
    }
)
