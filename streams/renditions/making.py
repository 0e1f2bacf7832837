"""How renditions are made and kept: what both tasks that make some share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schemas.ids import PhotoId, UserId
from schemas.internal import FullTask, ThumbnailTask
from streams.core.object_keys import ObjectKeys
from streams.core.photos import ParkedPhoto, Photo, Status, StoredRendition
from streams.core.renditions import EncodedRendition, RenditionFormat
from streams.photos.ask_removal import ask_removal
from streams.photos.rejected import photo_rejected
from streams.ports.groups import Stores
from streams.ports.publishing import Outbox

THUMBNAIL = "thumbnail"
LARGER = frozenset({"small", "medium", "large"})


class Outcome(StrEnum):
    """What became of a task."""

    MADE = "made"
    AGAIN = "again"  # It had been done before.
    PARKED = "parked"  # Its original is not there.
    REJECTED = "rejected"
    GONE = "gone"  # Its photo is deleted, or rejected by another task.
    REMOVED = "removed"
    PUT_OFF = "put_off"  # An edge did not answer; it is at the end of the queue again.


class Decoder(Protocol):
    """`streams.media`'s decoders. Both methods raise `Rejected` where the original is at fault."""

    async def thumbnail(self, original: bytes) -> EncodedRendition: ...

    async def full(self, original: bytes) -> Mapping[str, EncodedRendition]:
        """The larger ones by name."""


@dataclass(frozen=True, slots=True)
class RenditionRules:
    """What the tasks must know of the settings, and the time in milliseconds since 1970."""

    keys: ObjectKeys
    rendition_format: RenditionFormat
    original_bytes_max: int
    original_poll_ms: int
    clock_ms: Callable[[], int]


async def row_to_make(stores: Stores, outbox: Outbox, task: ThumbnailTask | FullTask) -> Photo | None:
    """The photo's row; None where nothing is to be made any more, and what may be left of a try goes.

    Raises:
        StoreUnavailable: Handle the task again.
    """
    stored = await row_of(stores, task.photo_id)
    if stored is None:
        return None
    if stored.reason is not None:
        await photo_rejected(stores, outbox, task.photo_id, task.author_id, stored.reason)
        return None
    if stored.deleted:
        # A try before this one may have put objects after the delete had looked for some.
        await ask_removal(stores, outbox, task.photo_id)
        return None
    return stored


async def read_original(
    stores: Stores, task: ThumbnailTask | FullTask, rules: RenditionRules
) -> bytes | None:
    """The original's bytes; None where it is not there: then it is waited for, as if it had never come."""
    original = await stores.media_objects.read(task.object_key, bytes_max=rules.original_bytes_max)
    if original is None:
        await stores.parked.park(
            ParkedPhoto(
                photo_id=task.photo_id,
                author_id=task.author_id,
                object_key=task.object_key,
                parked_ms=task.queued_ms,
                due_ms=rules.clock_ms() + rules.original_poll_ms,
            )
        )
    return original


async def put_renditions(
    stores: Stores, photo: PhotoId, made: Mapping[str, EncodedRendition], rules: RenditionRules
) -> dict[str, StoredRendition]:
    """Put what was made into the media bucket; the same bytes have the same names, so it may be repeated."""
    stored = {}
    for name, each in made.items():
        key = rules.keys.rendition(photo, name, each.sha256, rules.rendition_format.suffix)
        await stores.media_objects.put(key, each.body, content_type=rules.rendition_format.content_type)
        stored[name] = StoredRendition(object_key=key, width=each.width, height=each.height)
    return stored


async def row_of(stores: Stores, photo: PhotoId) -> Photo | None:
    return (await stores.photos.get([photo])).get(photo)


async def has_gone(stores: Stores, photo: PhotoId, author: UserId) -> bool:
    """Whether the photo was deleted or rejected; asked after objects were put.

    Law: a delete and a put cannot miss each other. A delete writes its tombstone, then
    lists the objects; a put puts its object, then looks for the tombstone.
    """
    if await stores.photos.has_tombstone(photo, author):
        return True
    stored = await row_of(stores, photo)
    return stored is not None and stored.status is Status.REJECTED
