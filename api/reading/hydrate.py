"""Load the likes of a page's photos, unless they came with the rows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from api.reading.present import Likes, PhotoRenderer
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.core.edges import EraLikes
from streams.core.feed import Gaps
from streams.core.photos import SeenPhoto
from streams.errors import StoreUnavailable
from streams.stores.cache.cached_reads import CachedLikes, CachedReads
from streams.stores.cache.read_through import ReadResult

NONE_CACHED = CachedLikes()


@dataclass(slots=True)
class PageRows:
    """The rows of one page. With the first of them comes what the cache has of their likes."""

    reads: CachedReads
    reader: UserId
    likes: CachedLikes = field(default=NONE_CACHED, init=False)

    async def read(self, photos: Sequence[int]) -> ReadResult[SeenPhoto]:
        if self.likes is not NONE_CACHED:
            return await self.reads.photos(photos)
        rows, self.likes = await self.reads.photos_with_likes(self.reader, photos)
        return rows


async def hydrate(
    reads: CachedReads,
    renderer: PhotoRenderer,
    reader: UserId,
    photos: Sequence[SeenPhoto],
    cached: CachedLikes = NONE_CACHED,
) -> tuple[list[bytes], Gaps]:
    """The JSON of at most 100 photos, in order. The gaps say whether all their likes are known."""
    ids = [photo.photo_id for photo in photos]
    if cached.totals.keys() >= set(ids):
        totals, gaps = cached.totals, Gaps()
        own, own_gaps = await _liked(reads, reader, ids, cached.newest)
    else:
        (totals, gaps), (own, own_gaps) = await asyncio.gather(
            _totals(reads, ids, cached.totals), _liked(reads, reader, ids, cached.newest)
        )
    return await renderer.render(photos, Likes(totals, own)), gaps | own_gaps


async def _totals(
    reads: CachedReads, photos: Sequence[PhotoId], cached: Mapping[int, int]
) -> tuple[Mapping[int, int], Gaps]:
    missing = [photo for photo in photos if photo not in cached]
    read = await reads.totals(SetKind.LIKERS, missing)
    return {**cached, **read.values}, Gaps(missing=bool(read.unknown))


async def _liked(
    reads: CachedReads, reader: UserId, photos: Sequence[PhotoId], cached: Mapping[int, EraLikes]
) -> tuple[set[PhotoId], Gaps]:
    if not photos:
        return set(), Gaps()
    try:
        return await reads.liked(reader, photos, cached), Gaps()
    except StoreUnavailable:
        return set(), Gaps(stale=True)
