"""Photos enter the pipeline: write their rows, then list them for their authors as not ready.

Law: delete and upload cannot miss each other. Each writes its own fact first, then reads the fact
of the other. An upload (this module) writes the row, then reads the tombstone.

Law: an id has one author. Each upload writes its facts, which lose against those of an earlier upload
of the same id, and then reads whose facts the row has.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from more_itertools import flatten

from schemas.envelope import PoisonEvent, Reason
from schemas.ids import PhotoId
from streams.core.photos import Photo, Status
from streams.photos.deleted import hide_photo
from streams.ports.groups import PhotoStores
from streams.stores.cache.keys import keys_of_photo


@dataclass(frozen=True, slots=True)
class Inserted:
    """What is stored about photos whose facts were inserted: their rows, and which are deleted."""

    rows: Mapping[PhotoId, Photo]
    deleted: frozenset[PhotoId]

    def conflict(self, photo: Photo) -> PoisonEvent | None:
        """Return the error of a photo whose id has a row with another author, None if it has not."""
        author = self.rows[photo.photo_id].author_id
        if author == photo.author_id:
            return None
        return PoisonEvent(
            Reason.AUTHOR_CONFLICT,
            f"photo_id {photo.photo_id} is known with author {author}, but the event says {photo.author_id}",
        )


async def photo_begun(stores: PhotoStores, photo: Photo) -> bool:
    """Let the author see the photo as `processing`.

    May be repeated, also after a failure at any line.

    Returns False if there is nothing to begin: the photo is deleted, ready or rejected.

    Raises:
        PoisonEvent: The photo's id has a row with another author.
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    inserted = await insert_photos(stores, [photo])
    if poison := inserted.conflict(photo):
        raise poison
    if inserted.deleted:
        await hide_photo(stores, photo.photo_id, photo.author_id)
        return False
    if inserted.rows[photo.photo_id].status is not Status.PROCESSING:
        return False
    await stores.cache.invalidate(await list_processing(stores, [photo]))
    return True


async def insert_photos(stores: PhotoStores, photos: Sequence[Photo]) -> Inserted:
    """Write the photos' rows, then read them and the tombstones."""
    await stores.photos.insert(photos)
    rows, tombstones = await asyncio.gather(
        stores.photos.get(list({photo.photo_id for photo in photos})),
        stores.photos.tombstones([(photo.photo_id, photo.author_id) for photo in photos]),
    )
    return Inserted(rows, frozenset(photo for photo, author in tombstones if rows[photo].author_id == author))


async def list_processing(stores: PhotoStores, photos: Sequence[Photo]) -> Sequence[bytes]:
    """List photos that are neither ready nor rejected for their authors. Returns the keys to invalidate.

    Others do not see such a photo. When it becomes ready or rejected, the same keys are invalidated.
    """
    await stores.author_photos.add([(photo.photo_id, photo.author_id) for photo in photos], ready=False)
    return [*flatten(keys_of_photo(photo.photo_id, photo.author_id) for photo in photos)]
