"""Ask for the removal of a photo's objects."""

from schemas.ids import PhotoId
from schemas.internal import RemovalTask
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from topics.catalogue import Lane


async def ask_removal(stores: PhotoStores, outbox: Outbox, photo: PhotoId) -> None:
    """Ask for the removal of a photo's objects; after what hides the photo is written.

    Raises:
        StoreUnavailable: It may be asked for all the same.
    """
    stored = (await stores.photos.get([photo])).get(photo)
    renditions = stored.renditions.values() if stored is not None else ()
    task = RemovalTask(
        photo,
        tuple(each.object_key for each in renditions),
        original=stored is None or stored.deleted,
    )
    await outbox.renditions([task], Lane.FULL)
