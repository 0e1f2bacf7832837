"""A photo can never have its renditions: its author sees the reason, nobody else sees the photo.

Law: a rejection is final, as a delete is. In the row, in the author's list and in the set of ready
photos, a rejection wins over "ready" in whatever order the two are written. So this code need not
know whether the photo was ready.
"""

from collections.abc import Sequence

from schemas.ids import PhotoId, UserId
from schemas.internal import LEFT_TIME_US, EdgeRecord, SetKind
from streams.core.photos import Status
from streams.metrics import REJECTED
from streams.photos.ask_removal import ask_removal
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.retrying import API_ROW_WAITS_S, until_true
from streams.stores.cache.keys import photo_key, pull_list_key


async def upload_dead_lettered(
    stores: PhotoStores,
    outbox: Outbox,
    photo: PhotoId,
    author: UserId,
    reason: str,
    *,
    waits_s: Sequence[float] = API_ROW_WAITS_S,
) -> None:
    """Reject a photo whose `photo.uploaded` became a dead letter: nothing else would end its `processing`.

    May be repeated. A photo that has no row, another author or another status is left alone.

    Raises:
        StoreUnavailable: Nothing is known about the writes; call it again.
    """

    async def has_row() -> bool:
        return photo in await stores.photos.get([photo])

    await until_true(waits_s, is_retryable=lambda _: False)(has_row)
    row = (await stores.photos.get([photo])).get(photo)
    if row is None or row.author_id != author or row.deleted or row.status is Status.READY:
        return
    await photo_rejected(stores, outbox, photo, author, row.reason or reason)


async def photo_rejected(
    stores: PhotoStores, outbox: Outbox, photo: PhotoId, author: UserId, reason: str
) -> None:
    """Reject a photo that has a row. May be repeated, also after a failure at any line.

    Raises:
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    row = (await stores.photos.get([photo])).get(photo)
    await stores.photos.mark_rejected(photo, reason)
    # At once, because if what follows fails, the repeat finds the row rejected and does not count it.
    if row is None or row.status is not Status.REJECTED:
        REJECTED.labels(reason).inc()
    await stores.author_photos.reject(author, photo)
    await stores.cache.invalidate([photo_key(photo), pull_list_key(author)])
    await stores.undelivered.end([(photo, author)])  # Its worker may have died in the middle of the delivery.
    await outbox.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, author, LEFT_TIME_US, removed=True)])
    await ask_removal(stores, outbox, photo)
