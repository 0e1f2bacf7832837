"""A photo has been uploaded: write its row, then deliver it, queue its thumbnail, or park it.

A photo is parked while its original is not in the media bucket.
"""

from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId
from schemas.internal import ThumbnailTask
from streams.core.delivery import DeliveryLimits
from streams.core.photos import ParkedPhoto, Photo, StoredRendition
from streams.core.renditions import THUMBNAIL
from streams.errors import StoreUnavailable
from streams.photos.begun import insert_photo, show_processing
from streams.photos.deleted import delete_photo
from streams.photos.ready import photo_ready
from streams.ports.groups import PhotoStores
from streams.ports.media import MediaObjects
from streams.ports.publishing import Outbox
from topics.catalogue import Lane


async def photo_uploaded(
    stores: PhotoStores,
    outbox: Outbox,
    data: PhotoUploaded,
    *,
    limits: DeliveryLimits,
    now_ms: int,
    original_poll_ms: int,
) -> None:
    """Handle `photo.uploaded`. May be repeated, also after a failure at any line.

    Raises:
        PoisonEvent: The photo's id has a row with another author.
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    photo = _photo(data)
    if not await insert_photo(stores, photo):
        await delete_photo(stores, outbox, photo.photo_id, photo.author_id)
    elif THUMBNAIL in photo.renditions:
        await photo_ready(
            stores, outbox, photo.photo_id, photo.author_id, photo.renditions, limits=limits, now_ms=now_ms
        )
    elif await show_processing(stores, photo):
        if await _has_arrived(stores.media_objects, photo.object_key):
            task = ThumbnailTask(photo.photo_id, photo.author_id, photo.object_key, queued_ms=now_ms)
            await outbox.renditions([task], Lane.THUMBNAIL)
        else:
            await stores.parked.park(
                ParkedPhoto(
                    photo_id=photo.photo_id,
                    author_id=photo.author_id,
                    object_key=photo.object_key,
                    parked_ms=now_ms,
                    due_ms=now_ms + original_poll_ms,
                )
            )


async def _has_arrived(media_objects: MediaObjects, object_key: str) -> bool:
    """Return whether the original is in the bucket.

    Returns False also if S3 does not respond. The photo is then parked, and its original is looked
    for again later, so that the next events of the partition do not wait for S3.
    """
    try:
        return await media_objects.size(object_key) is not None
    except StoreUnavailable:
        return False


def _photo(data: PhotoUploaded) -> Photo:
    return Photo(
        photo_id=PhotoId(data.photo_id),
        author_id=UserId(data.author_id),
        created_at=data.created_at,
        caption=data.caption,
        object_key=data.object_key,
        content_type=data.content_type,
        renditions={
            name: StoredRendition(
                object_key=rendition.object_key, width=rendition.width, height=rendition.height
            )
            for name, rendition in (data.renditions or {}).items()
        },
    )
