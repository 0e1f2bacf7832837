"""A photo enters the pipeline: write its row, then list it for its author as not ready.

Law: delete and upload cannot miss each other. Each writes its own fact first, then reads the fact
of the other. An upload (this module) writes the row, then reads the tombstone.
"""

from schemas.envelope import PoisonEvent, Reason
from streams.core.photos import Photo, Status
from streams.photos.deleted import hide_photo
from streams.ports.groups import PhotoStores
from streams.stores.cache.keys import photo_key, pull_list_key


async def photo_begun(stores: PhotoStores, photo: Photo) -> bool:
    """Let the author see the photo as `processing`.

    May be repeated, also after a failure at any line.

    Returns False if there is nothing to begin: the photo is deleted, ready or rejected.

    Raises:
        PoisonEvent: The photo's id has a row with another author.
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    if not await insert_photo(stores, photo):
        await hide_photo(stores, photo.photo_id, photo.author_id)
        return False
    return await show_processing(stores, photo)


async def insert_photo(stores: PhotoStores, photo: Photo) -> bool:
    """Write the photo's row. Returns False if the photo is deleted.

    Raises:
        PoisonEvent: The photo's id has a row with another author.
    """
    author = await stores.photos.insert(photo)
    if author != photo.author_id:
        raise PoisonEvent(
            Reason.AUTHOR_CONFLICT,
            f"photo_id {photo.photo_id} is known with author {author}, but the event says {photo.author_id}",
        )
    return not await stores.photos.has_tombstone(photo.photo_id, photo.author_id)


async def show_processing(stores: PhotoStores, photo: Photo) -> bool:
    """List the photo for its author. If it is ready or rejected, do nothing and return False."""
    row = (await stores.photos.get([photo.photo_id])).get(photo.photo_id)
    if row is not None and row.status is not Status.PROCESSING:
        return False
    await stores.author_photos.add(photo.author_id, photo.photo_id, ready=False)
    await stores.cache.invalidate([photo_key(photo.photo_id), pull_list_key(photo.author_id)])
    return True
