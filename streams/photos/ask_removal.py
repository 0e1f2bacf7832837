"""Queue the removal of a photo's objects."""

from schemas.ids import PhotoId
from schemas.internal import RemovalTask
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from topics.catalogue import Lane


async def ask_removal(stores: PhotoStores, outbox: Outbox, photo: PhotoId) -> None:
    """Queue the removal of a photo's objects. Call it after the writes that hide the photo.

    Raises:
        StoreUnavailable: The task may have been queued nevertheless; queuing it again is harmless.
    """
    row = (await stores.photos.get([photo])).get(photo)
    renditions = row.renditions.values() if row is not None else ()
    task = RemovalTask(
        photo,
        tuple(rendition.object_key for rendition in renditions),
        original=row is None or row.deleted,
    )
    await outbox.renditions([task], Lane.FULL)
