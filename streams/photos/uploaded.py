"""Photos have been uploaded: write their rows, then deliver them, queue their thumbnails, or park them.

A photo is parked while its original is not in the media bucket.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from schemas.envelope import PoisonEvent
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId
from schemas.internal import ThumbnailTask
from streams.core.delivery import DeliveryRules
from streams.core.photos import ParkedPhoto, Photo, Status, StoredRendition
from streams.core.renditions import THUMBNAIL
from streams.errors import StoreUnavailable
from streams.photos.begun import insert_photos, list_processing
from streams.photos.deleted import delete_photo
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.ports.groups import PhotoStores
from streams.ports.media import MediaObjects
from streams.ports.publishing import Outbox
from streams.telemetry.causes import cause_of
from streams.telemetry.lines import log_each
from topics.catalogue import Lane
from topics.sizes import Sizes

log = logging.getLogger(__name__)


async def photos_uploaded(
    stores: PhotoStores,
    outbox: Outbox,
    uploads: Sequence[PhotoUploaded],
    *,
    delivery_rules: DeliveryRules,
    sizes: Sizes,
    now_ms: int,
    original_poll_ms: int,
) -> list[PoisonEvent | None]:
    """Handle a batch of `photo.uploaded`. May be repeated, also after a failure at any line.

    Returns for each upload, in order, None, or that its photo's id has a row with another author.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the batch again.
    """
    photos = [_photo(data) for data in uploads]
    inserted = await insert_photos(stores, photos)
    outcomes = [inserted.conflict(photo) for photo in photos]
    # By id, because an event may be in the batch twice.
    own = {photo.photo_id: photo for photo, poison in zip(photos, outcomes, strict=True) if poison is None}
    deleted = [own.pop(photo) for photo in inserted.deleted if photo in own]
    ready = [photo for photo in own.values() if THUMBNAIL in photo.renditions]
    waiting = [
        photo
        for photo in own.values()
        if THUMBNAIL not in photo.renditions and inserted.rows[photo.photo_id].status is Status.PROCESSING
    ]
    await asyncio.gather(
        photos_ready(
            stores,
            outbox,
            [
                ReadyPhoto(photo.photo_id, photo.author_id, _lacking(inserted.rows[photo.photo_id], photo))
                for photo in ready
            ],
            delivery_rules=delivery_rules,
            sizes=sizes,
            now_ms=now_ms,
        ),
        _make_or_park(stores, outbox, waiting, now_ms=now_ms, original_poll_ms=original_poll_ms),
        *(delete_photo(stores, outbox, photo.photo_id, photo.author_id) for photo in deleted),
    )
    return outcomes


async def _make_or_park(
    stores: PhotoStores, outbox: Outbox, photos: Sequence[Photo], *, now_ms: int, original_poll_ms: int
) -> None:
    """Show photos as `processing`, queue the thumbnails of those that have arrived, park the others."""
    if not photos:
        return
    # Of a server that hangs, the author may see an older list, for as long as it is cached.
    await stores.cache.invalidate_reachable(await list_processing(stores, photos))
    arrived = await asyncio.gather(
        *(_has_arrived(stores.media_objects, photo.object_key) for photo in photos)
    )
    tasks = [
        ThumbnailTask(photo.photo_id, photo.author_id, photo.object_key, queued_ms=now_ms)
        for photo, is_there in zip(photos, arrived, strict=True)
        if is_there
    ]
    parked = [
        ParkedPhoto(
            photo_id=photo.photo_id,
            author_id=photo.author_id,
            object_key=photo.object_key,
            parked_ms=now_ms,
            due_ms=now_ms + original_poll_ms,
        )
        for photo, is_there in zip(photos, arrived, strict=True)
        if not is_there
    ]
    await asyncio.gather(
        outbox.renditions(tasks, Lane.THUMBNAIL), *(stores.parked.park(photo) for photo in parked)
    )
    rows = (
        {"photo_id": str(photo.photo_id), "event_id": cause_of(photo.photo_id).event_id} for photo in parked
    )
    log_each(log, logging.INFO, "parked: the original has not arrived", rows, {})


async def _has_arrived(media_objects: MediaObjects, object_key: str) -> bool:
    """Return whether the original is in the bucket.

    Returns False also if S3 does not respond. The photo is then parked, and its original is looked
    for again later, so that the next events of the partition do not wait for S3.
    """
    try:
        return await media_objects.size(object_key) is not None
    except StoreUnavailable:
        return False


def _lacking(row: Photo, photo: Photo) -> Mapping[str, StoredRendition]:
    """Return the renditions of the event that the row lacks: an earlier event of the photo had others."""
    return {
        name: rendition
        for name, rendition in photo.renditions.items()
        if row.renditions.get(name) != rendition
    }


def _photo(data: PhotoUploaded) -> Photo:
    given = data.renditions or {}
    return Photo(
        photo_id=PhotoId(data.photo_id),
        author_id=UserId(data.author_id),
        created_at=data.created_at,
        caption=data.caption,
        object_key=data.object_key,
        content_type=data.content_type,
        # Without a thumbnail among them, we make all ourselves.
        renditions={
            name: StoredRendition(
                object_key=rendition.object_key, width=rendition.width, height=rendition.height
            )
            for name, rendition in given.items()
            if THUMBNAIL in given
        },
    )
