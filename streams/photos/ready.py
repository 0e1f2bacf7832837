"""Photos have their thumbnails: mark them ready, count them, and deliver them.

Law: no lost post. The order is: first the entry in the author's list, then the decision by the
follower set, then the photo's row, then its delivery (its pages are acknowledged, it is stored as
deferred, or its author is added to the pulled authors), then the caller's commit. Every follower gets the
photo in one of two cases. If the follower's row was written before the delivery reads its bucket, the
delivery includes the follower. Otherwise the follower's backfill reads the author's list: a backfill is
requested after the follower's row is written, and the photo's entry is older than that.

Until their delivery is acknowledged, photos are among the undelivered ones, which readers pull. So a
worker may die between any two lines.

A server of a cluster that hangs delays nobody. What is cached there of a photo and its author may be old when
it goes on, and a rebuild may read it. So the photo is delivered, and stays undelivered as well, until
`streams/jobs/undelivered.py` has invalidated that and made the photo ready once more.

Law: delete and upload cannot miss each other. Nothing here looks for a delete. The caller has
written the photo's row, and then found no tombstone, so a later delete finds the row. What it then writes
wins over what is written here, in any order.

May be repeated, also after a failure at any line. Two runs may decide differently, one for push and
one for pull. That is harmless, because readers merge by id and at least one of the two is done.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.ids import PhotoId, UserId
from schemas.internal import READY_TIME_US, EdgeRecord, SetKind
from streams.core.delivery import Delivery, DeliveryReason, DeliveryRules, Mode
from streams.core.overload.deferral import DeferredPost
from streams.core.photos import StoredRendition
from streams.core.sets import SetSummary
from streams.metrics import DECISIONS
from streams.photos.fanout_messages import fanout_messages, partitions_of
from streams.ports.groups import PhotoStores
from streams.ports.photos import DeferredPosts, PulledAuthors
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import keys_of_photo
from streams.telemetry.causes import cause_of
from streams.telemetry.lines import log_each
from topics.catalogue import Lane
from topics.sizes import Sizes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadyPhoto:
    """A photo that has a row and a thumbnail. `renditions` are those that its row lacks."""

    photo_id: PhotoId
    author_id: UserId
    renditions: Mapping[str, StoredRendition]


async def photos_ready(
    stores: PhotoStores,
    outbox: Outbox,
    photos: Sequence[ReadyPhoto],
    *,
    delivery_rules: DeliveryRules,
    sizes: Sizes,
    now_ms: int,
) -> dict[PhotoId, Delivery]:
    """Make photos visible to others. Returns how each is delivered, which is also stored.

    Raises:
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    if not photos:
        return {}
    listed = [(photo.photo_id, photo.author_id) for photo in photos]
    authors = list({photo.author_id for photo in photos})
    await stores.undelivered.begin(listed)
    await stores.author_photos.add(listed, ready=True)
    # Read the level and the stamp of each followers' set after the photos are listed. So a user who
    # follows when the set has a later level or stamp gets the photos by backfill.
    summaries, remembered = await asyncio.gather(
        stores.counted_sets.summaries(SetKind.FOLLOWERS, authors), stores.authors.modes_by_size(authors)
    )
    by_author = {
        author: delivery_rules.decide(
            summaries[author].total, remembered[author], partitions_of(author, summaries[author], sizes)
        )
        for author in authors
    }
    deliveries = {photo: by_author[author] for photo, author in listed}
    # Once the rows say ready, no page that says `complete` may lack the photos.
    await stores.photos.mark_ready({photo.photo_id: photo.renditions for photo in photos}, deliveries)
    # Before the delivery: a rebuild that an append missed reads the author's cached list.
    old_keys = await stores.cache.invalidate_reachable(
        list({key for photo in listed for key in keys_of_photo(*photo)})
    )
    finished = [photo for photo in listed if old_keys.isdisjoint(keys_of_photo(*photo))]
    await asyncio.gather(
        outbox.edges(
            [
                EdgeRecord(SetKind.READY_PHOTOS, photo, author, READY_TIME_US, removed=False)
                for photo, author in listed
            ]
        ),
        _deliver(outbox, stores.pulled_authors, stores.deferred, listed, by_author, summaries, now_ms, sizes),
    )
    await asyncio.gather(
        stores.undelivered.end(finished),
        stores.authors.remember_modes(
            {
                author: delivery.mode_by_size
                for author, delivery in by_author.items()
                if delivery.mode_by_size not in (None, remembered[author])
            }
        ),
    )
    for delivery in deliveries.values():
        DECISIONS.labels(delivery.mode.value, delivery.reason.value).inc()
    _log_ready(deliveries)
    return deliveries


def _log_ready(deliveries: Mapping[PhotoId, Delivery]) -> None:
    """Log which photos are ready, and how they are delivered; not each delivery."""
    photos: defaultdict[tuple[Mode, DeliveryReason], list[PhotoId]] = defaultdict(list)
    for photo, delivery in deliveries.items():
        photos[delivery.mode, delivery.reason].append(photo)
    for (mode, reason), some in photos.items():
        rows = ({"photo_id": str(photo), "event_id": cause_of(photo).event_id} for photo in some)
        log_each(log, logging.INFO, "ready", rows, {"mode": mode.value, "reason": reason.value})


async def _deliver(
    outbox: Outbox,
    pulled_authors: PulledAuthors,
    deferred: DeferredPosts,
    photos: Sequence[tuple[PhotoId, UserId]],
    deliveries: Mapping[UserId, Delivery],
    followers: Mapping[int, SetSummary],
    now_ms: int,
    sizes: Sizes,
) -> None:
    """Publish the pages of photos that are pushed; store photos that are deferred, and authors to pull."""
    await asyncio.gather(
        pulled_authors.add(
            [
                author
                for author, delivery in deliveries.items()
                if delivery.mode is Mode.PULL and not delivery.is_deferred
            ]
        ),
        deferred.add(
            [
                DeferredPost(
                    photo_id=photo,
                    author_id=author,
                    reason=deliveries[author].reason,
                    followers=followers[author].total,
                    ready_ms=now_ms,
                )
                for photo, author in photos
                if deliveries[author].is_deferred
            ]
        ),
    )
    at_once = [(photo, author) for photo, author in photos if not deliveries[author].is_deferred]
    await outbox.fanout(fanout_messages(at_once, deliveries, followers, now_ms, sizes), Lane.NORMAL)
