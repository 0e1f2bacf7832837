"""Remove all objects of ours that a deleted or rejected photo has, and what edges keep of it.

A rejected photo's original is left to the cleaning, which gives it a grace time. The row and
the tombstone stay, so a rendition that is put later finds out and has itself
removed. Other keys than ours are upstream apps' and are never removed.
"""

from schemas.ids import PhotoId
from schemas.internal import RemovalTask
from streams.core.object_keys import ObjectKeys
from streams.ports.groups import Stores
from streams.ports.publishing import Outbox
from topics.catalogue import Lane

OBJECTS_A_CALL = 1_000


async def removal_task(stores: Stores, task: RemovalTask, keys: ObjectKeys) -> None:
    """Handle a `RemovalTask`; repeatable at every line.

    Raises:
        StoreUnavailable: Some objects may be left; handle the task again.
    """
    renditions = keys.renditions(task.photo_id)
    while found := await stores.media.list(renditions, limit=OBJECTS_A_CALL):
        await stores.media.delete([each.object_key for each in found])
    if task.original:
        await stores.media.delete([keys.original(task.photo_id)])
    # Last, for a fetch in between would have brought them back. What the row named is all that
    # anybody was given a URL of, an upstream app's own renditions included.
    await stores.edge_caches.purge(task.object_keys)


async def remove_later(stores: Stores, outbox: Outbox, photo: PhotoId) -> None:
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
