"""Make a photo's larger renditions, after its thumbnail."""

from schemas.internal import FullTask
from streams.media.rejected import Rejected
from streams.photos.ask_removal import ask_removal
from streams.photos.rejected import photo_rejected
from streams.ports.groups import Stores
from streams.ports.publishing import Outbox
from streams.renditions.making import (
    LARGER,
    Decoder,
    Outcome,
    RenditionRules,
    has_gone,
    put_renditions,
    read_original,
    row_to_make,
)
from streams.stores.cache.keys import photo_key


async def full_task(
    stores: Stores, outbox: Outbox, decoder: Decoder, task: FullTask, rules: RenditionRules
) -> Outcome:
    """Handle a `FullTask`; repeatable at every line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the task again.
    """
    photo, author = task.photo_id, task.author_id
    stored = await row_to_make(stores, outbox, task)
    if stored is None:
        return Outcome.GONE
    outcome = Outcome.AGAIN
    if not stored.renditions.keys() >= LARGER:
        original = await read_original(stores, task, rules)
        if original is None:
            return Outcome.PARKED
        try:
            made = await decoder.full(original)
        except Rejected as rejected:
            await photo_rejected(stores, outbox, photo, author, rejected.reason)
            return Outcome.REJECTED
        await stores.photos.add_renditions(photo, await put_renditions(stores, photo, made, rules))
        outcome = Outcome.MADE
    await stores.cache.invalidate([photo_key(photo)])
    if await has_gone(stores, photo, author):
        await ask_removal(stores, outbox, photo)
        return Outcome.GONE
    return outcome
