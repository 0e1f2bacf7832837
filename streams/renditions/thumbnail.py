"""Make a photo's thumbnail. The photo is then ready, and its larger renditions are queued.

Law: nothing is visible before its object exists. The order is: first the object, then the row and
the delivery, then the task for the larger renditions, then the caller's commit.
"""

from schemas.internal import FullTask, ThumbnailTask
from streams.core.delivery import DeliveryRules
from streams.core.renditions import LARGER, THUMBNAIL
from streams.media.rejected import Rejected
from streams.photos.deleted import delete_photo
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.photos.rejected import photo_rejected
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.renditions.making import (
    Decoder,
    MakingRules,
    RenditionOutcome,
    put_renditions,
    read_original,
    row_to_make,
)
from topics.catalogue import Lane
from topics.sizes import Sizes


async def thumbnail_task(
    stores: PhotoStores,
    outbox: Outbox,
    decoder: Decoder,
    task: ThumbnailTask,
    rules: MakingRules,
    *,
    delivery_rules: DeliveryRules,
    sizes: Sizes,
) -> RenditionOutcome:
    """Handle a `ThumbnailTask`. May be repeated, also after a failure at any line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the task again.
    """
    photo, author = task.photo_id, task.author_id
    row = await row_to_make(stores, outbox, task)
    if row is None:
        return RenditionOutcome.GONE
    outcome, renditions = RenditionOutcome.AGAIN, row.renditions
    if THUMBNAIL not in renditions:
        original = await read_original(stores, task, rules)
        if original is None:
            return RenditionOutcome.PARKED
        try:
            thumbnail = await decoder.thumbnail(original)
        except Rejected as rejected:
            await photo_rejected(stores, outbox, photo, author, rejected.reason)
            return RenditionOutcome.REJECTED
        outcome = RenditionOutcome.MADE
        renditions = await put_renditions(stores.media_objects, photo, {THUMBNAIL: thumbnail}, rules)
    # Deliver also if the thumbnail existed, because the worker that made it may have died before
    # the delivery.
    ready = ReadyPhoto(photo, author, renditions)
    await photos_ready(
        stores, outbox, [ready], delivery_rules=delivery_rules, sizes=sizes, now_ms=rules.clock_ms()
    )
    # The photo may have been deleted or rejected meanwhile, and its objects removed before ours was put.
    # The full task finds a rejection.
    if await stores.photos.tombstones([(photo, author)]):
        await delete_photo(stores, outbox, photo, author)
    if not renditions.keys() >= LARGER:
        full = FullTask(photo, author, task.object_key, queued_ms=rules.clock_ms())
        await outbox.renditions([full], Lane.FULL)
    return outcome
