"""Remove all of our own objects of a deleted or rejected photo, from the bucket and from the CDN.

The cleaning removes a rejected photo's original after a grace time. The row and the tombstone
stay, so a task that puts a rendition later finds them and queues another removal. Objects under
keys of upstream apps are never removed.
"""

from schemas.internal import RemovalTask
from streams.core.object_keys import ObjectKeys
from streams.ports.cdn import Cdn
from streams.ports.media import MediaObjects

OBJECTS_A_CALL = 1_000


async def removal_task(bucket: MediaObjects, cdn: Cdn, task: RemovalTask, keys: ObjectKeys) -> None:
    """Handle a `RemovalTask`. May be repeated at every line.

    Raises:
        StoreUnavailable: Some objects may be left; handle the task again.
    """
    renditions = keys.renditions(task.photo_id)
    while page := await bucket.list(renditions, limit=OBJECTS_A_CALL):
        await bucket.delete([stored_object.object_key for stored_object in page])
    if task.original:
        await bucket.delete([keys.original(task.photo_id)])
    # Last, because the CDN could fetch an object again before it is deleted. URLs were only given
    # out for what the row named, including the renditions that an upstream app made itself.
    await cdn.purge(task.object_keys)
