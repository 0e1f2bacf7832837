"""Photos: one, an author's, and deleting one."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.access_log import note_completeness
from api.http.cursors import CursorKind
from api.http.inputs import PageQuery, photo_id_of, user_id_of, user_photos_query
from api.http.problems import unavailable
from api.http.responses import done, json_bytes
from api.reading.fill import PageFiller
from api.reading.hydrate import PageRows, hydrate
from api.reading.present import photo_page
from api.reading.rules import is_visible
from api.reading.visible import visible_photo
from api.services import ByCaller, PhotoService, WithPhotos, WithUploads
from schemas.facts import PhotoDeleted
from schemas.ids import PhotoId, UserId
from streams.core.feed import TOP, Completeness, Skeleton, Source, union
from streams.photos.deleted import hide_photo
from streams.timelines.newest import newest_of


async def get_photo(
    photos: WithPhotos, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """One photo, as the caller sees it."""
    photo = await visible_photo(photos.reads, caller.user_id, photo_id)
    items, gaps = await hydrate(photos.reads, photos.renderer, caller.user_id, [photo])
    if gaps.completeness is not Completeness.COMPLETE:
        # Unlike a page, a photo has no field in which to say that its likes are not known.
        raise unavailable("The photo's likes are not known now; try again.")
    return json_bytes(items[0])


async def get_user_photos(
    request: Request,
    photos: WithPhotos,
    caller: ByCaller,
    user_id: Annotated[UserId, Depends(user_id_of)],
    query: Annotated[PageQuery, Depends(user_photos_query)],
) -> Response:
    """A page of the author's photos, newest first; the own list also shows what is not ready."""
    below = query.position[0] if query.position else TOP

    async def deeper(below: int) -> Skeleton:
        return union([await _window(photos, caller.user_id, user_id, below, query.limit)], below)

    skeleton = await _newest(photos, caller.user_id, user_id, below)
    rows = PageRows(photos.reads, caller.user_id)
    filler = PageFiller(rows.read, lambda photo: is_visible(photo, caller.user_id), deeper)
    filled = await filler.page(skeleton, below, query.limit)
    items, like_gaps = await hydrate(photos.reads, photos.renderer, caller.user_id, filled.photos, rows.likes)
    gaps = filled.gaps | like_gaps
    page = photo_page(items, filled.next_below, CursorKind.USER_PHOTOS, gaps)
    note_completeness(request.scope, gaps.completeness.value)
    return json_bytes(page)


async def _newest(photos: PhotoService, reader: UserId, author: UserId, below: int) -> Skeleton:
    """The author's newest photos from the cached list, which many readers share."""
    lists = await photos.reads.pull_lists([author])
    if author not in lists.values:
        return union((), below)
    pull_list = lists.values[author]
    ids = pull_list.all if author == reader else pull_list.ready
    return union([Source(ids, pull_list.floor(photos.pull_list_ids_max))], below)


async def _window(photos: PhotoService, reader: UserId, author: UserId, below: int, limit: int) -> Source:
    async with photos.reads.through.reads.slot():
        return await newest_of(
            photos.stores.author_photos, [author], below=below, count=limit, unready_of=reader
        )


async def delete_photo(
    photos: WithPhotos,
    uploads: WithUploads,
    caller: ByCaller,
    photo_id: Annotated[PhotoId, Depends(photo_id_of)],
) -> Response:
    """Take the caller's photo away for good; also when repeated, and before it is ready."""
    author, stores = caller.user_id, photos.stores
    if await uploads.intake.withdraw(author, photo_id):
        return done()
    event = PhotoDeleted(photo_id=photo_id, author_id=author)
    await photos.publisher.publish(event, time_us=photos.clock_us())
    # Law: no ghost. The event's consumer would hide the photo too, but no page may show it after
    # this response. A photo without a row need not be hidden: the consumer writes the tombstone,
    # and the upload that would write the row finds it.
    if await stores.photos.get([photo_id]):
        await stores.photos.write_tombstone(photo_id, author)
        await hide_photo(stores, photo_id, author)
    return done()
