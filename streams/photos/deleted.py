"""A photo has been deleted: remember it for ever, and take the photo away if it is here.

Law: delete and upload cannot miss each other. Each writes its own fact first and then
reads the other's: here the tombstone, then the row.
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
    """Handle `photo.deleted`; repeatable at every line.

    Raises:
        PoisonEvent: The photo is another author's.
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    photo, author = PhotoId(data.photo_id), UserId(data.author_id)
    await stores.photos.write_tombstone(photo, author)
    stored = (await stores.photos.get([photo])).get(photo)
    if stored is None:
        return  # Remembered; the upload will find the tombstone.
    if stored.author_id != author:
        raise PoisonEvent(
            Reason.AUTHOR_CONFLICT,
            f"photo_id {photo} is known with author {stored.author_id}, but the event says {author}",
        )
    await delete_photo(stores, outbox, photo, author)


async def delete_photo(stores: PhotoStores, outbox: Outbox, photo: PhotoId, author: UserId) -> None:
    """Take away a photo that its author has deleted; after it returns no page shows it.

    Its objects are removed by a task of their own, since there may be a backlog of those.
    """
    await hide_photo(stores, photo, author)
    await outbox.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, author, LEFT_TIME_US, removed=True)])
    await ask_removal(stores, outbox, photo)


async def hide_photo(stores: PhotoStores, photo: PhotoId, author: UserId) -> None:
    """The part of a delete that readers see; the API does it before it answers."""
    await stores.photos.write_tombstone(photo, author)
    await stores.photos.erase(photo)
    await stores.author_photos.remove(author, photo)
    await stores.cache.invalidate([photo_key(photo), pull_list_key(author)])
