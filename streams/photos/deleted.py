"""A photo has been deleted: write its tombstone, then hide the photo if it has a row.

Law: delete and upload cannot miss each other. Each writes its own fact first, then reads the fact
of the other. A delete (this module) writes the tombstone, then reads the row.
"""

from schemas.envelope import PoisonEvent, Reason
from schemas.facts import PhotoDeleted
from schemas.ids import PhotoId, UserId
from schemas.internal import LEFT_TIME_US, EdgeRecord, SetKind
from streams.photos.ask_removal import ask_removal
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import photo_key, pull_list_key


async def photo_deleted(stores: PhotoStores, outbox: Outbox, data: PhotoDeleted) -> None:
    """Handle `photo.deleted`. May be repeated, also after a failure at any line.

    Raises:
        PoisonEvent: The photo belongs to another author.
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    photo, author = PhotoId(data.photo_id), UserId(data.author_id)
    await stores.photos.write_tombstone(photo, author)
    row = (await stores.photos.get([photo])).get(photo)
    if row is None:
        return  # When the upload arrives, it finds the tombstone.
    if row.author_id != author:
        raise PoisonEvent(
            Reason.AUTHOR_CONFLICT,
            f"photo_id {photo} is known with author {row.author_id}, but the event says {author}",
        )
    await delete_photo(stores, outbox, photo, author)


async def delete_photo(stores: PhotoStores, outbox: Outbox, photo: PhotoId, author: UserId) -> None:
    """Delete a photo whose tombstone is written. After it returns, no page shows the photo.

    This does not remove the photo's objects but queues a task for that, because the queue of
    removals may be long.
    """
    await hide_photo(stores, photo, author)
    await stores.undelivered.end([(photo, author)])  # Its worker may have died in the middle of the delivery.
    await outbox.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, author, LEFT_TIME_US, removed=True)])
    await ask_removal(stores, outbox, photo)


async def hide_photo(stores: PhotoStores, photo: PhotoId, author: UserId) -> None:
    """Hide a photo whose tombstone is written: the part of a delete that readers see.

    The API does this before it responds, so that no later page shows the photo.
    """
    await stores.photos.erase(photo)
    await stores.author_photos.remove(author, photo)
    await stores.cache.invalidate([photo_key(photo), pull_list_key(author)])
