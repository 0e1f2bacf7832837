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
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from schemas.ids import PackedIds
from streams.core.counted import PAGE_LEVEL_MIN
from streams.core.sets import BucketKey
from streams.errors import StoreUnavailable
from streams.ports.cache import Cache
from streams.ports.edges import CountedSets
from streams.stores.cache.keys import follower_page_key

T = TypeVar("T")


async def follower_pages(
    cache: Cache,
    counted_sets: CountedSets,
    stamps: Mapping[BucketKey, int],
    *,
    copy_s: int,
    wait_s: float | None = None,
) -> dict[BucketKey, PackedIds]:
    """Return the followers in each bucket, at least those up to its stamp; 0 is no stamp.

    With `wait_s`, the cache is waited for so long at most, and then not used; with 0 it is not used.

    Raises:
        StoreUnavailable: Call it again.
    """
    # Buckets of higher levels have pages in the database, which cost little to read.
    names = {
        key: follower_page_key(key, stamp)
        for key, stamp in stamps.items()
        if stamp and key.level < PAGE_LEVEL_MIN and wait_s != 0
    }
    read_cache = cache.get(list(names.values()))
    cached = await (read_cache if wait_s is None else _in_time(read_cache, wait_s))
    if cached is None:
        return dict(await counted_sets.members(list(stamps)))
    pages = {key: PackedIds(page) for key, page in zip(names, cached, strict=True) if page is not None}
    missing = [key for key in stamps if key not in pages]
    if missing:
        new_names = {key: names[key] for key in missing if key in names}
        lease = cache.lease(list(new_names.values()))
        token, read = await asyncio.gather(
            lease if wait_s is None else _in_time(lease, wait_s), counted_sets.members(missing)
        )
        if token is not None:
            fill = cache.fill(token, {name: read[key] for key, name in new_names.items()}, copy_s)
            await (fill if wait_s is None else _in_time(fill, wait_s))
        pages |= read
    return pages


async def _in_time(call: Awaitable[T], wait_s: float) -> T | None:
    """Return the result of a call; None if it did not succeed in time."""
    try:
        async with asyncio.timeout(wait_s):
            return await call
    except (StoreUnavailable, TimeoutError):
        return None
