"""Make a photo's thumbnail; with it the photo is ready, and its larger renditions may follow.

Law: nothing is visible before its object exists. Order: the object, then the row and the
delivery, then the task for the others, then the caller's commit.
"""

from schemas.internal import FullTask, ThumbnailTask
from streams.core.delivery import DeliveryLimits
from streams.media.rejected import Rejected
from streams.photos.ready import photo_ready
from streams.photos.rejected import photo_rejected
from streams.ports.groups import Stores
from streams.ports.publishing import Outbox
from streams.renditions.making import (
    LARGER,
    THUMBNAIL,
    Decoder,
    Outcome,
    RenditionRules,
    put_renditions,
    read_original,
    row_to_make,
)
from topics.catalogue import Lane


async def thumbnail_task(
    stores: Stores,
    outbox: Outbox,
    decoder: Decoder,
    task: ThumbnailTask,
    rules: RenditionRules,
    *,
    limits: DeliveryLimits,
) -> Outcome:
    """Handle a `ThumbnailTask`; repeatable at every line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the task again.
    """
    photo, author = task.photo_id, task.author_id
    stored = await row_to_make(stores, outbox, task)
    if stored is None:
        return Outcome.GONE
    outcome, renditions = Outcome.AGAIN, stored.renditions
    if THUMBNAIL not in renditions:
        original = await read_original(stores, task, rules)
        if original is None:
            return Outcome.PARKED
        try:
            made = await decoder.thumbnail(original)
        except Rejected as rejected:
            await photo_rejected(stores, outbox, photo, author, rejected.reason)
            return Outcome.REJECTED
        outcome, renditions = Outcome.MADE, await put_renditions(stores, photo, {THUMBNAIL: made}, rules)
    # Also where it had been made: whoever made it may have died before it was delivered.
    await photo_ready(stores, outbox, photo, author, renditions, limits=limits, now_ms=rules.clock_ms())
    # A delete meanwhile is found by `photo_ready`, a rejection by the next task; both remove what was put.
    if not renditions.keys() >= LARGER:
        full = FullTask(photo, author, task.object_key, queued_ms=rules.clock_ms())
        await outbox.renditions([full], Lane.FULL)
    return outcome
