"""Load the likes of a page's photos: one call for the totals, one for the caller's own."""

import asyncio
from collections.abc import Sequence

from api.reading.cached_reads import CachedReads
from api.reading.present import Json, Likes, present
from api.reading.signed_urls import UrlSigner
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.core.feed import Gaps
from streams.core.photos import SeenPhoto
from streams.errors import StoreUnavailable


async def hydrate(
    reads: CachedReads, signer: UrlSigner, reader: UserId, photos: Sequence[SeenPhoto]
) -> tuple[list[Json], Gaps]:
    """The JSON of at most 100 photos, in order. The gaps say whether all their likes are known."""
    ids = [photo.photo_id for photo in photos]
    totals, (own, gaps) = await asyncio.gather(reads.totals(SetKind.LIKERS, ids), _liked(reads, reader, ids))
    items = await present(photos, Likes(totals.values, own), signer)
    return items, gaps | Gaps(missing=bool(totals.unknown))


async def _liked(reads: CachedReads, reader: UserId, photos: Sequence[PhotoId]) -> tuple[set[PhotoId], Gaps]:
    if not photos:
        return set(), Gaps()
    try:
        return await reads.liked(reader, photos), Gaps()
    except StoreUnavailable:
        return set(), Gaps(stale=True)
