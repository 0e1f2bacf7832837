"""Make a photo's larger renditions, after its thumbnail."""

from schemas.internal import FullTask
from streams.core.renditions import LARGER
from streams.media.rejected import Rejected
from streams.photos.ask_removal import ask_removal
from streams.photos.rejected import photo_rejected
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.renditions.making import (
    Decoder,
    MakingRules,
    RenditionOutcome,
    has_gone,
    put_renditions,
    read_original,
    row_to_make,
)
from streams.stores.cache.keys import photo_key


async def full_task(
    stores: PhotoStores, outbox: Outbox, decoder: Decoder, task: FullTask, rules: MakingRules
) -> RenditionOutcome:
    """Handle a `FullTask`. May be repeated, also after a failure at any line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the task again.
    """
    photo, author = task.photo_id, task.author_id
    row = await row_to_make(stores, outbox, task)
    if row is None:
        return RenditionOutcome.GONE
    outcome = RenditionOutcome.AGAIN
    if not row.renditions.keys() >= LARGER:
        original = await read_original(stores, task, rules)
        if original is None:
            return RenditionOutcome.PARKED
        try:
            renditions = await decoder.full(original)
        except Rejected as rejected:
            await photo_rejected(stores, outbox, photo, author, rejected.reason)
            return RenditionOutcome.REJECTED
        put = await put_renditions(stores.media_objects, photo, renditions, rules)
        await stores.photos.add_renditions(photo, put)
        outcome = RenditionOutcome.MADE
    if await stores.cache.invalidate_reachable([photo_key(photo)]):
        await stores.undelivered.begin([(photo, author)])  # It is invalidated later.
    if await has_gone(stores.photos, photo, author):
        await ask_removal(stores, outbox, photo)
        return RenditionOutcome.GONE
    return outcome
