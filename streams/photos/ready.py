"""A photo has its thumbnail: mark it ready, count it, and deliver it.

Law: no lost post. Order: the photo's row, then its delivery (its pages are acknowledged, or
its author is added to the pulled authors), then the caller's commit. A follower either is in
a bucket that is read after the row was written, or their backfill reads that row: a
follower's row is written before the backfill is requested.

May be repeated at every line. Two runs may decide differently, push once and pull once.
Readers merge by id, so doing both is harmless, and at least one of them is done.
"""

import asyncio
from collections.abc import Mapping

from schemas.ids import PhotoId, UserId
from schemas.internal import READY_TIME_US, EdgeRecord, FanoutPage, OwnPost, SetKind
from streams.core.counted import BUCKETS
from streams.core.delivery import Conditions, Delivery, DeliveryLimits, Mode, decide
from streams.core.photos import StoredRendition
from streams.metrics import DECISIONS
from streams.photos.deleted import delete_photo
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import photo_key, pull_list_key
from topics.catalogue import Lane


async def photo_ready(
    stores: PhotoStores,
    outbox: Outbox,
    photo: PhotoId,
    author: UserId,
    renditions: Mapping[str, StoredRendition],
    *,
    limits: DeliveryLimits,
    now_ms: int,
) -> Delivery:
    """Make the photo visible to others. Returns how it is delivered, which is also stored.

    Raises:
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    await asyncio.gather(
        stores.photos.mark_ready(photo, renditions), stores.author_photos.add(author, photo, ready=True)
    )
    ready = EdgeRecord(SetKind.READY_PHOTOS, photo, author, READY_TIME_US, removed=False)
    # Read the level after the row is written: a user who follows at a later level is backfilled.
    summaries, remembered, *_ = await asyncio.gather(
        stores.counted_sets.summaries(SetKind.FOLLOWERS, [author]),
        stores.authors.mode_by_size(author),
        stores.cache.invalidate([photo_key(photo), pull_list_key(author)]),
        outbox.edges([ready]),
    )
    followers = summaries[author]
    delivery = decide(Conditions(followers=followers.total, mode_by_size=remembered), limits)
    own = outbox.fanout([OwnPost(photo, author, now_ms)], Lane.NORMAL)
    if delivery.mode is Mode.PUSH:
        pages = [
            FanoutPage(photo, author, followers.level, bucket, now_ms)
            for bucket in range(BUCKETS[followers.level])
        ]
        await asyncio.gather(outbox.fanout(pages, delivery.lane), own)
    else:
        await asyncio.gather(stores.pulled_authors.add(author), own)
    await stores.photos.record_delivery(photo, delivery)
    DECISIONS.labels(delivery.mode.value, delivery.reason.value).inc()
    if delivery.mode_by_size not in (None, remembered):
        await stores.authors.remember_mode(author, delivery.mode_by_size)
    # A delete that ran meanwhile either found no row, or hid a photo that we then made ready. It
    # wrote its tombstone first, so we find the tombstone now.
    if await stores.photos.has_tombstone(photo, author):
        await delete_photo(stores, outbox, photo, author)
    return delivery
