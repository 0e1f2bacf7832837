"""A photo has its thumbnail: mark it ready, count it, and deliver it.

Law: no lost post. The order is: first the photo's row, then its delivery (its pages are
acknowledged, or its author is added to the pulled authors), then the caller's commit. Every
follower gets the photo in one of two cases. If the follower's row was written before the delivery
reads its bucket, the delivery includes the follower. Otherwise the follower's backfill reads the
photo's row: a backfill is requested after the follower's row is written, and the photo's row is
older than that.

Until the delivery is acknowledged, the photo is among the undelivered ones, which readers pull. So a
worker may die between any two lines.

May be repeated, also after a failure at any line. Two runs may decide differently, one for push and
one for pull. That is harmless, because readers merge by id and at least one of the two is done.
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
    await stores.undelivered.begin(photo, author)
    # The row last: once it says ready, no page that says `complete` may lack the photo.
    await stores.author_photos.add(author, photo, ready=True)
    await stores.photos.mark_ready(photo, renditions)
    ready = EdgeRecord(SetKind.READY_PHOTOS, photo, author, READY_TIME_US, removed=False)
    # Read the level of the followers' set after the photo's row is written. So a user who follows
    # when the set has a later level gets the photo by backfill.
    summaries, remembered, *_ = await asyncio.gather(
        stores.counted_sets.summaries(SetKind.FOLLOWERS, [author]),
        stores.authors.mode_by_size(author),
        stores.cache.invalidate([photo_key(photo), pull_list_key(author)]),
        outbox.edges([ready]),
    )
    followers = summaries[author]
    delivery = decide(Conditions(followers=followers.total, mode_by_size=remembered), limits)
    if delivery.lane is Lane.BULK or delivery.mode is Mode.PULL:
        # What is pushed in the bulk lane is pulled, too: that lane may be behind for minutes.
        await stores.pulled_authors.add(author)
    own = outbox.fanout([OwnPost(photo, author, now_ms)], Lane.NORMAL)
    if delivery.mode is Mode.PUSH:
        pages = [
            FanoutPage(photo, author, followers.level, bucket, now_ms)
            for bucket in range(BUCKETS[followers.level])
        ]
        await asyncio.gather(outbox.fanout(pages, delivery.lane), own)
    else:
        await own
    await asyncio.gather(
        stores.photos.record_delivery(photo, delivery), stores.undelivered.end(photo, author)
    )
    DECISIONS.labels(delivery.mode.value, delivery.reason.value).inc()
    if delivery.mode_by_size not in (None, remembered):
        await stores.authors.remember_mode(author, delivery.mode_by_size)
    # A delete may have run meanwhile. It either found no row, or hid the photo before we made it
    # ready. In both cases it wrote its tombstone first, so we find the tombstone now and delete
    # again.
    if await stores.photos.has_tombstone(photo, author):
        await delete_photo(stores, outbox, photo, author)
    return delivery
