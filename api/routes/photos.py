"""Photos: one, an author's, and taking one away."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.context import ApiContext, ByCaller, InContext
from api.http.answers import done, json_answer
from api.http.cursors import CursorKind
from api.http.inputs import PageQuery, photo_id_of, user_id_of, user_photos_query
from api.http.problems import not_found, unavailable
from api.reading.fill import Walk
from api.reading.hydrate import hydrate
from api.reading.rules import is_visible
from api.routes.feed import page_of_photos
from api.uploads.lifecycle import own_row, withdraw
from schemas.events import PhotoDeleted
from schemas.ids import PhotoId, UserId
from streams.core.feed import TOP, Completeness, Gaps, Skeleton, Source, union
from streams.core.photos import SeenPhoto
from streams.photos.deleted import hide_photo
from streams.timelines.newest import newest_of


async def get_photo(
    context: InContext, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """One photo, as the caller sees it."""
    photo = await visible_photo(context, caller.user_id, photo_id)
    gaps = Gaps()
    shown = await hydrate(context, caller.user_id, [photo], gaps)
    if gaps.completeness is not Completeness.COMPLETE:
        # Unlike a page, a photo has no field in which to say that its likes are not known.
        raise unavailable("The photo's likes are not known now; try again.")
    return json_answer(shown[0])


async def visible_photo(context: ApiContext, reader: UserId, photo_id: PhotoId) -> SeenPhoto:
    """The photo's row, where the reader may see it.

    Raises:
        Problem: 404 when there is none for the reader, 503 when that is not known.
    """
    found = await context.reads.photos([photo_id])
    if found.unknown:
        raise unavailable("The photo is not known now; try again.")
    photo = found.values.get(photo_id)
    if photo is None or not is_visible(photo, reader):
        raise not_found(f"photo {photo_id}")
    return photo


async def get_user_photos(
    context: InContext,
    caller: ByCaller,
    user_id: Annotated[UserId, Depends(user_id_of)],
    query: Annotated[PageQuery, Depends(user_photos_query)],
) -> Response:
    """A page of the author's photos, newest first; the own list also shows what is not ready."""
    gaps = Gaps()
    below = query.place[0] if query.place else TOP

    async def deeper(place: int) -> Skeleton:
        return union([await _window(context, caller.user_id, user_id, place, query.limit)], place)

    skeleton = await _newest(context, caller.user_id, user_id, below)
    walk = Walk(context.reads.photos, lambda photo: is_visible(photo, caller.user_id), deeper, gaps)
    photos, place = await walk.page(skeleton, below, query.limit)
    items = await hydrate(context, caller.user_id, photos, gaps)
    return json_answer(page_of_photos(items, place, CursorKind.USER_PHOTOS, gaps))


async def _newest(context: ApiContext, reader: UserId, author: UserId, below: int) -> Skeleton:
    """The newest of the author's photos from their copy, which many readers share."""
    found = await context.reads.pull_lists([author])
    if author not in found.values:
        return union((), below)
    photos = found.values[author]
    ids = photos.all if author == reader else photos.ready
    return union([Source(ids, photos.floor(context.settings.pull_list_ids_max))], below)


async def _window(context: ApiContext, reader: UserId, author: UserId, below: int, limit: int) -> Source:
    async with context.reads.through.reads.slot():
        return await newest_of(
            context.stores.author_photos, [author], below=below, count=limit, unready_of=reader
        )


async def delete_photo(
    context: InContext, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """Take the caller's photo away for good; also when repeated, and before it is ready."""
    reader, stores = caller.user_id, context.stores
    if await own_row(context, reader, photo_id) is None and await withdraw(context, reader, photo_id):
        return done()
    event = PhotoDeleted(photo_id=photo_id, author_id=reader)
    await context.publisher.publish(event, time_us=context.clock_us())
    # Law: no ghost. Not left to the event's consumer: after this answer no page shows the photo.
    # Without a row there is none to hide: who writes it finds the tombstone that is there by now.
    if await stores.photos.get([photo_id]):
        await hide_photo(stores, photo_id, reader)
    return done()
