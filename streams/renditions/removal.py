"""Remove all objects of ours that a deleted or rejected photo has, and what edges keep of it.

A rejected photo's original is left to the cleaning, which gives it a grace time. The row and
the tombstone stay, so a rendition that is put later finds out and has itself
removed. Other keys than ours are upstream apps' and are never removed.
"""

from schemas.internal import RemovalTask
from streams.core.object_keys import ObjectKeys
from streams.ports.groups import Stores

OBJECTS_A_CALL = 1_000


async def removal_task(stores: Stores, task: RemovalTask, keys: ObjectKeys) -> None:
    """Handle a `RemovalTask`; repeatable at every line.

    Raises:
        StoreUnavailable: Some objects may be left; handle the task again.
    """
    renditions = keys.renditions(task.photo_id)
    while found := await stores.media_objects.list(renditions, limit=OBJECTS_A_CALL):
        await stores.media_objects.delete([each.object_key for each in found])
    if task.original:
        await stores.media_objects.delete([keys.original(task.photo_id)])
    # Last, for a fetch in between would have brought them back. What the row named is all that
    # anybody was given a URL of, an upstream app's own renditions included.
    await stores.cdn.purge(task.object_keys)
