"""A photo can never have its renditions: its author sees why, nobody else sees it.

Law: rejected is for good, as deleted is. The row, the author's list and the set of ready
photos each let the rejection win in whatever order they are written, so nothing here asks
whether the photo had been ready.
"""

from schemas.ids import PhotoId, UserId
from schemas.internal import LEFT_TIME_US, EdgeRecord, SetKind
from streams.metrics import REJECTED
from streams.photos.ask_removal import ask_removal
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import photo_key, pull_list_key


async def photo_rejected(
    stores: PhotoStores, outbox: Outbox, photo: PhotoId, author: UserId, reason: str
) -> None:
    """Reject a photo that has a row; repeatable at every line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; reject it again.
    """
    await stores.photos.mark_rejected(photo, reason)
    await stores.author_photos.reject(author, photo)
    await stores.cache.invalidate([photo_key(photo), pull_list_key(author)])
    await outbox.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, author, LEFT_TIME_US, removed=True)])
    await ask_removal(stores, outbox, photo)
    REJECTED.labels(reason).inc()
