"""A photo has its thumbnail: count it and deliver it. This is where readiness is announced.

Law: no lost post. Order: the photo's row, then its delivery (pages acknowledged, or the
author on the list of pulled ones), then the caller's commit. A follower either is in a
bucket read after the row existed, or their backfill reads that row, because the
follower's row is written before the backfill is asked for.

Repeatable at every line. Deciding twice may choose push once and pull once; readers
merge by id, so both is harmless and neither is impossible.
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
    """Make the photo visible to others, and record how it is delivered.

    Raises:
        StoreUnavailable: Nothing is known about the writes; announce it again.
    """
    await asyncio.gather(
        stores.photos.mark_ready(photo, renditions), stores.author_photos.add(author, photo, ready=True)
    )
    ready = EdgeRecord(SetKind.READY_PHOTOS, photo, author, READY_TIME_US, removed=False)
    # The level must be read when the row is there: a follower who joins at a later one is backfilled.
    heads, remembered, *_ = await asyncio.gather(
        stores.counted_sets.summaries(SetKind.FOLLOWERS, [author]),
        stores.authors.mode_by_size(author),
        stores.cache.invalidate([photo_key(photo), pull_list_key(author)]),
        outbox.edges([ready]),
    )
    head = heads[author]
    delivery = decide(Conditions(followers=head.total, mode_by_size=remembered), limits)
    own = outbox.fanout([OwnPost(photo, author, now_ms)], Lane.NORMAL)
    if delivery.mode is Mode.PUSH:
        pages = [
            FanoutPage(photo, author, head.level, bucket, now_ms) for bucket in range(BUCKETS[head.level])
        ]
        await asyncio.gather(outbox.fanout(pages, delivery.lane), own)
    else:
        await asyncio.gather(stores.pulled_authors.add(author), own)
    await stores.photos.record_delivery(photo, delivery)
    DECISIONS.labels(delivery.mode.value, delivery.reason.value).inc()
    if delivery.mode_by_size not in (None, remembered):
        await stores.authors.remember_mode(author, delivery.mode_by_size)
    # A delete that came while we wrote found no row to take away, or took one that we put
    # back; it wrote its tombstone first, so looking now cannot miss it.
    if await stores.photos.has_tombstone(photo, author):
        await delete_photo(stores, outbox, photo, author)
    return delivery
