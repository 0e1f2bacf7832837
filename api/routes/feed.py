"""GET /v1/feed: the hot route, kept lean.

Skeleton (pull lists, timeline, database) → rules → rows and likes → presentation; the
number of calls to stores does not depend on the number of photos.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext, caller_of, context_of
from api.http.answers import json_answer
from api.http.cursors import CursorKind, encode_cursor
from api.http.inputs import FEED_QUERIES, PageQuery
from api.http.metrics import FEED_PAGES
from api.reading.fill import Walk
from api.reading.hydrate import hydrate
from api.reading.present import Json
from api.reading.rules import in_feed
from schemas.ids import UserId
from streams.core.edges import Following
from streams.core.feed import TOP, Gaps, Skeleton, Source, open_ended, union


async def get_feed(request: Request) -> Response:
    """A page of the caller's feed."""
    context = context_of(request)
    caller = await caller_of(request)
    gaps = Gaps()
    page = await feed_page(context, caller.user_id, FEED_QUERIES.read(request), gaps)
    FEED_PAGES.labels(page["completeness"]).inc()
    return json_answer(page, {"Retry-After": str(gaps.again_s)} if gaps.rebuilding else None)


async def feed_page(context: ApiContext, reader: UserId, query: PageQuery, gaps: Gaps) -> Json:
    """One page of the reader's feed, newest first, below the cursor's place; `gaps` says what it lacks.

    Raises:
        TooManyReads: The database is asked by too many already.
    """
    below = query.place[0] if query.place else TOP
    if await context.sources.must_wait(reader):
        # When thousands come at once, making each a page of what little is known would take
        # the time that their rebuilds need.
        gaps.rebuilding, gaps.again_s = True, context.rebuilds_again.next_retry_s()
        return page_of_photos([], below, CursorKind.FEED, gaps)
    found = await context.reads.following(reader)
    if found.unknown:
        # Law: no ghost. Whom the reader follows is not known, so nobody's photos are shown.
        gaps.missing = True
        return page_of_photos([], below, CursorKind.FEED, gaps)
    following = found.values[reader]
    stored: Sequence[Source] = ()
    if found.cache_answered:
        stored = await context.sources.stored(reader, following, below, gaps)
    walk = _walk(context, reader, following, stored, gaps)
    photos, place = await walk.page(_newest(stored, below, query.limit, gaps), below, query.limit)
    return page_of_photos(await hydrate(context, reader, photos, gaps), place, CursorKind.FEED, gaps)


def _newest(stored: Sequence[Source], below: int, limit: int, gaps: Gaps) -> Skeleton:
    """Where the walk begins: with about what the page needs, if the walk may go deeper."""
    if gaps.rebuilding:
        return open_ended(union(stored, below), below)
    # One more tells whether there are more, and an id may be in the timeline and in a list.
    return union(stored, below, 2 * (limit + 1))


def _walk(
    context: ApiContext, reader: UserId, following: Following, stored: Sequence[Source], gaps: Gaps
) -> Walk:
    async def deeper(below: int) -> Skeleton:
        skeleton = union(stored, below)
        if skeleton.bound < below - 1:
            return skeleton
        return await context.sources.deeper(reader, following, below)

    return Walk(
        rows=context.reads.photos,
        is_shown=lambda photo: in_feed(photo, reader, following),
        # While a timeline is being rebuilt the database is busy with just that.
        deeper=None if gaps.rebuilding else deeper,
        gaps=gaps,
    )


def page_of_photos(items: list[Json], place: int | None, kind: CursorKind, gaps: Gaps) -> Json:
    """A page of photos; `place` is where the next one begins, None at the end."""
    # A first page of which nothing is known is asked for again as a first page.
    is_place = place is not None and place != TOP
    return {
        "items": items,
        "next_cursor": encode_cursor(kind, place) if is_place and place is not None else None,
        "completeness": gaps.completeness.value,
    }
