"""GET /v1/feed: the route with the most requests, so it does as little as possible.

Skeleton (pull lists, timeline, database) → rules → rows and likes → presentation. A page of what is cached
takes two round trips to Redis, whatever its length: one for the skeleton, one for the rows and the likes.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api.access_log import note_completeness
from api.http.cursors import CursorKind
from api.http.inputs import FEED_QUERIES, PageQuery
from api.http.metrics import FEED_PAGES
from api.http.responses import json_bytes
from api.reading.fill import PageFiller
from api.reading.hydrate import PageRows, hydrate
from api.reading.present import photo_page
from api.reading.rules import in_feed
from api.services import FeedService, caller_of, feed_service
from schemas.ids import UserId
from streams.core.edges import Following
from streams.core.feed import TOP, Completeness, Gaps, Skeleton, Source, open_ended, union

# Looking up a counter by its label costs more than counting.
_PAGES = {completeness: FEED_PAGES.labels(completeness.value) for completeness in Completeness}


async def get_feed(request: Request) -> Response:
    """A page of the caller's feed."""
    caller = await caller_of(request)
    page, gaps = await feed_page(feed_service(request), caller.user_id, FEED_QUERIES.read(request))
    completeness = gaps.completeness
    _PAGES[completeness].inc()
    note_completeness(request.scope, completeness.value)
    return json_bytes(page, {"Retry-After": str(gaps.retry_after_s)} if gaps.rebuilding else None)


async def feed_page(feed: FeedService, reader: UserId, query: PageQuery) -> tuple[bytes, Gaps]:
    """Return the JSON of a page of the reader's feed, newest first, from the cursor's position on, and its
    gaps.

    Raises:
        TooManyReads: Too many reads of the database are under way.
    """
    feed.readers.note(reader)
    below = query.position[0] if query.position else TOP
    if await feed.sources.must_wait(reader):
        # If thousands of readers arrive at once, partial pages for all of them would use the time that
        # their rebuilds need.
        return _empty(below, Gaps(rebuilding=True, retry_after_s=feed.rebuilds.next_retry_s()))
    beginning = await feed.sources.begin(reader)
    followees = beginning.following
    if followees.unknown:
        # Law: no ghost. It is not known whom the reader follows, so no photo may be shown.
        return _empty(below, Gaps(missing=True))
    following = followees.values[reader]
    stored: Sequence[Source] = ()
    gaps = Gaps()
    if followees.cache_answered:
        stored, gaps = await feed.sources.stored(reader, following, below, beginning)
    rows = PageRows(feed.reads, reader)
    filler = PageFiller(
        rows=rows.read,
        is_shown=partial(in_feed, reader=reader, followees=following),
        # While a timeline is being rebuilt, the database is busy with that rebuild, so the page
        # reads nothing more from it.
        deeper=None if gaps.rebuilding else _deeper(feed, reader, following, stored),
    )
    filled = await filler.page(_newest(stored, below, query.limit, gaps), below, query.limit)
    items, like_gaps = await hydrate(feed.reads, feed.renderer, reader, filled.photos, rows.likes)
    gaps |= filled.gaps | like_gaps
    return photo_page(items, filled.next_below, CursorKind.FEED, gaps), gaps


def _empty(below: int, gaps: Gaps) -> tuple[bytes, Gaps]:
    return photo_page([], below, CursorKind.FEED, gaps), gaps


def _newest(stored: Sequence[Source], below: int, limit: int, gaps: Gaps) -> Skeleton:
    """Return the skeleton of the first scan.

    If the page may read deeper later, the skeleton is cut to about what the page needs.
    """
    if gaps.rebuilding:
        return open_ended(union(stored, below), below)
    # One id more than `limit` shows whether there is a next page. Twice as many, because an id can
    # be both in the timeline and in a pull list.
    return union(stored, below, 2 * (limit + 1))


def _deeper(
    feed: FeedService, reader: UserId, following: Following, stored: Sequence[Source]
) -> Callable[[int], Awaitable[Skeleton]]:
    """Return a function that returns the skeleton below an id.

    It returns the stored ids; once none are left, it reads the next window of the database.
    """

    async def deeper(below: int) -> Skeleton:
        skeleton = union(stored, below)
        if skeleton.bound < below - 1:
            return skeleton
        return await feed.sources.deeper(reader, following, below)

    return deeper
