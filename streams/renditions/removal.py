"""Remove all of our own objects of a deleted or rejected photo, from the bucket and from the CDN.

The cleaning removes a rejected photo's original after a grace time. The row and the tombstone are
not removed. So a task that puts a rendition later finds them and queues another removal. Objects
under keys of upstream apps are never removed.
"""

from schemas.internal import RemovalTask
from streams.core.object_keys import ObjectKeys
from streams.ports.cdn import Cdn
from streams.ports.media import MediaObjects

OBJECTS_A_CALL = 1_000


async def removal_task(bucket: MediaObjects, cdn: Cdn, task: RemovalTask, keys: ObjectKeys) -> None:
    """Handle a `RemovalTask`. May be repeated, also after a failure at any line.

    Raises:
        StoreUnavailable: Some objects may be left; handle the task again.
    """
    renditions = keys.renditions(task.photo_id)
    while page := await bucket.list(renditions, limit=OBJECTS_A_CALL):
        await bucket.delete([stored_object.object_key for stored_object in page])
    if task.original:
        await bucket.delete([keys.original(task.photo_id)])
    # Purge last, because the CDN could fetch an object again before the object is deleted. Only the
    # keys in the task need a purge. They are the keys of the row, including renditions that an
    # upstream app made itself, and URLs were returned for these keys only.
    await cdn.purge(task.object_keys)
