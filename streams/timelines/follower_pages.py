"""Read pages of followers through the short-lived cache.

The key of a cached page has the stamp that the set's total had when a post became ready. Nobody
invalidates it, so counting does not wait for Redis: whenever the set changes, its total gets a later
stamp.

A page cached under a stamp has every follower whose row was written before that stamp, because the
rows of a batch are written before or together with the total, and the page was read after the stamp.
So a post whose stamp is the same needs no other page: a follower who is not in it was written after
the post was in its author's list, and the backfill of that follower finds the post there.
"""

import asyncio
from collections.abc import Mapping

from schemas.ids import PackedIds
from streams.core.counted import PAGE_LEVEL_MIN
from streams.core.sets import BucketKey
from streams.ports.cache import Cache
from streams.ports.edges import CountedSets
from streams.stores.cache.keys import follower_page_key


async def follower_pages(
    cache: Cache, counted_sets: CountedSets, stamps: Mapping[BucketKey, int], *, copy_s: int
) -> dict[BucketKey, PackedIds]:
    """Return the followers in each bucket, at least those up to its stamp; 0 is no stamp.

    Raises:
        StoreUnavailable: Call it again.
    """
    # Buckets of higher levels have pages in the database, which cost little to read.
    names = {
        key: follower_page_key(key, stamp)
        for key, stamp in stamps.items()
        if stamp and key.level < PAGE_LEVEL_MIN
    }
    cached = zip(names, await cache.get(list(names.values())), strict=True)
    pages = {key: PackedIds(page) for key, page in cached if page is not None}
    missing = [key for key in stamps if key not in pages]
    if missing:
        new_names = {key: names[key] for key in missing if key in names}
        token, read = await asyncio.gather(
            cache.lease(list(new_names.values())), counted_sets.members(missing)
        )
        await cache.fill(token, {name: read[key] for key, name in new_names.items()}, copy_s)
        pages |= read
    return pages
