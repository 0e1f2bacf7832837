"""A photo has been uploaded: write its row, and either deliver it or wait for what is missing.

Law: delete and upload cannot miss each other. Each writes its own fact first and then
reads the other's: here the row, then the tombstone.
"""

from datetime import UTC, datetime

from schemas.envelope import PoisonEvent, Reason
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId
from streams.core.delivery import DeliveryLimits
from streams.errors import StoreUnavailable
from streams.handlers.photo_deleted import delete_photo
from streams.handlers.photo_ready import photo_ready
from streams.handlers.publishing import Outbox
from streams.stores.copy_keys import photo_key, pull_list_key
from streams.stores.ports import ParkedPhoto, Photo, Status, StoredRendition, Stores


async def photo_uploaded(
    stores: Stores,
    outbox: Outbox,
    data: PhotoUploaded,
    *,
    limits: DeliveryLimits,
    now_ms: int,
    original_poll_ms: int,
) -> None:
    """Handle `photo.uploaded`; repeatable at every line.

    Raises:
        PoisonEvent: The id is known with another author.
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    photo = _photo(data)
    author = await stores.photos.insert(photo)
    if author != photo.author_id:
        raise PoisonEvent(
            Reason.AUTHOR_CONFLICT,
            f"photo_id {photo.photo_id} is known with author {author}, but the event says {photo.author_id}",
        )
    if await stores.photos.is_buried(photo.photo_id, photo.author_id):
        await delete_photo(stores, outbox, photo.photo_id, photo.author_id)
        return
    if "thumbnail" in photo.renditions:
        await photo_ready(
            stores, outbox, photo.photo_id, photo.author_id, photo.renditions, limits=limits, now_ms=now_ms
        )
        return
    stored = (await stores.photos.get([photo.photo_id])).get(photo.photo_id)
    if stored is not None and stored.status is not Status.PROCESSING:
        return  # Made ready or rejected before; the event has come again.
    await stores.author_photos.add(photo.author_id, photo.photo_id, ready=False)
    await stores.copies.drop([photo_key(photo.photo_id), pull_list_key(photo.author_id)])
    if not await _is_there(stores, photo.object_key):
        await stores.parked.park(
            ParkedPhoto(
                photo_id=photo.photo_id,
                author_id=photo.author_id,
                object_key=photo.object_key,
                parked_ms=now_ms,
                due_ms=now_ms + original_poll_ms,
            )
        )


async def _is_there(stores: Stores, object_key: str) -> bool:
    """Whether the original has arrived; unknown counts as not yet, so that nobody behind waits for S3."""
    try:
        return await stores.media.size(object_key) is not None
    except StoreUnavailable:
        return False


def _photo(data: PhotoUploaded) -> Photo:
    return Photo(
        photo_id=PhotoId(data.photo_id),
        author_id=UserId(data.author_id),
        created_at=data.created_at.astimezone(UTC)
        if isinstance(data.created_at, datetime)
        else data.created_at,
        caption=data.caption,
        object_key=data.object_key,
        content_type=data.content_type,
        renditions={
            name: StoredRendition(object_key=made.object_key, width=made.width, height=made.height)
            for name, made in (data.renditions or {}).items()
        },
    )
