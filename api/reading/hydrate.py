"""Give a page's photos their likes: one call for the totals, one for the caller's own."""

import asyncio
from collections.abc import Sequence

from api.context import ApiContext
from api.reading.present import Json, Likes, present
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.core.feed import Gaps
from streams.core.photos import SeenPhoto
from streams.errors import StoreUnavailable


async def hydrate(context: ApiContext, reader: UserId, photos: Sequence[SeenPhoto], gaps: Gaps) -> list[Json]:
    """The photos' JSON, at most 100 of them. Notes in `gaps` which likes are not known."""
    ids = [photo.photo_id for photo in photos]
    totals, own = await asyncio.gather(
        context.reads.totals(SetKind.LIKERS, ids), _liked(context, reader, ids, gaps)
    )
    gaps.missing |= bool(totals.unknown)
    return await present(photos, Likes(totals.values, own), context.signer)


async def _liked(context: ApiContext, reader: UserId, photos: Sequence[PhotoId], gaps: Gaps) -> set[PhotoId]:
    if not photos:
        return set()
    try:
        return await context.reads.liked(reader, photos)
    except StoreUnavailable:
        gaps.copied = True
        return set()
