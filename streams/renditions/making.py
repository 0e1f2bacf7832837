"""The steps that thumbnail tasks and full tasks share: read row and original, store renditions."""

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
from streams.ports.groups import PhotoStores
from streams.ports.media import MediaObjects
from streams.ports.photos import Photos
from streams.ports.publishing import Outbox


class RenditionOutcome(StrEnum):
    """The result of a task."""

    MADE = "made"
    AGAIN = "again"  # The renditions existed already.
    PARKED = "parked"  # The original is not in the bucket.
    REJECTED = "rejected"
    GONE = "gone"  # The photo is deleted, or was rejected by another task.
    REMOVED = "removed"
    PUT_OFF = "put_off"  # A CDN edge did not respond; the task is queued again.


class Decoder(Protocol):
    """Decodes originals, see `streams.media`.

    Both methods raise `Rejected` if the original can never have renditions.
    """

    async def thumbnail(self, original: bytes) -> EncodedRendition: ...

    async def full(self, original: bytes) -> Mapping[str, EncodedRendition]:
        """Return the larger renditions by name."""


@dataclass(frozen=True, slots=True)
class MakingRules:
    """The settings that the tasks need, and a clock (milliseconds since 1970)."""

    keys: ObjectKeys
    rendition_format: RenditionFormat
    original_bytes_max: int
    original_poll_ms: int
    clock_ms: Callable[[], int]


async def row_to_make(stores: PhotoStores, outbox: Outbox, task: ThumbnailTask | FullTask) -> Photo | None:
    """Return the photo's row, or None if its renditions are no longer wanted.

    If the photo is rejected or deleted, objects that an earlier attempt left are removed.

    Raises:
        StoreUnavailable: Handle the task again.
    """
    row = await row_of(stores.photos, task.photo_id)
    if row is None:
        return None
    if row.reason is not None:
        await photo_rejected(stores, outbox, task.photo_id, task.author_id, row.reason)
        return None
    if row.deleted:
        # An earlier attempt at this task may have died in the middle of the delivery, or may have put
        # objects after the delete had listed the objects to be removed.
        await stores.undelivered.end([(task.photo_id, task.author_id)])
        await ask_removal(stores, outbox, task.photo_id)
        return None
    return row


async def read_original(
    stores: PhotoStores, task: ThumbnailTask | FullTask, rules: MakingRules
) -> bytes | None:
    """Return the original's bytes. If it is not in the bucket, park the photo and return None."""
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
    bucket: MediaObjects, photo: PhotoId, renditions: Mapping[str, EncodedRendition], rules: MakingRules
) -> dict[str, StoredRendition]:
    """Put renditions into the media bucket. May be repeated: the same bytes have the same key."""
    put = {}
    for name, rendition in renditions.items():
        key = rules.keys.rendition(photo, name, rendition.sha256, rules.rendition_format.suffix)
        await bucket.put(key, rendition.body, content_type=rules.rendition_format.content_type)
        put[name] = StoredRendition(object_key=key, width=rendition.width, height=rendition.height)
    return put


async def row_of(photos: Photos, photo: PhotoId) -> Photo | None:
    return (await photos.get([photo])).get(photo)


async def has_gone(photos: Photos, photo: PhotoId, author: UserId) -> bool:
    """Return whether the photo was deleted or rejected. Call this after objects were put.

    Law: a delete and a put cannot miss each other. A delete writes its tombstone, then lists the
    objects. A task puts its objects, then reads the tombstone.
    """
    if await photos.tombstones([(photo, author)]):
        return True
    row = await row_of(photos, photo)
    return row is not None and row.status is Status.REJECTED
