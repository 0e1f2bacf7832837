"""What a rebuild of a timeline reads through the cache: whom the owner follows, and authors' newest photos.

The latter are the pull lists of pages. Rebuilds that run at the same time read them together, so after a
loss of Redis the database is asked for each author about once, not once for each of their followers.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from more_itertools import sliced

from schemas.ids import UserId
from streams.core.feed import Source
from streams.core.photos import PullList
from streams.errors import StoreUnavailable
from streams.gathering import gather_bounded
from streams.joined_reads import JoinedReads
from streams.stores.cache.cached_reads import PULL_LISTS_MAX, CachedReads

LISTS_A_CALL = 256
CALLS_IN_FLIGHT_MAX = 4


def followees_of(reads: CachedReads) -> Callable[[UserId], Awaitable[list[UserId]]]:
    """Return a function that returns whom the owner follows; it raises StoreUnavailable, TooManyReads."""

    async def followees(owner: UserId) -> list[UserId]:
        following = await reads.following(owner)
        if following.unknown:
            raise StoreUnavailable("cassandra", "following", "needed for a rebuild")
        return list(following.values[owner])

    return followees


def newest_photos_of(
    reads: CachedReads, ids_max: int, *, lists_max: int = PULL_LISTS_MAX
) -> Callable[[Sequence[UserId]], Awaitable[Mapping[UserId, Source]]]:
    """Return a function that returns the newest ready photos of the authors whose lists can be read.

    `ids_max` is the length of a list that is cut. The function returns nothing for more than `lists_max`
    authors: of so many, a few photos each are enough. It raises TooManyReads as `CachedReads.pull_lists`
    does.
    """

    async def call(authors: Sequence[UserId]) -> Mapping[int, PullList]:
        return (await reads.pull_lists(authors)).values

    async def read(authors: Sequence[UserId]) -> Mapping[UserId, Source]:
        results = await gather_bounded(sliced(authors, LISTS_A_CALL), call, at_once=CALLS_IN_FLIGHT_MAX)
        return {
            UserId(author): Source(photos.ready, photos.floor(ids_max))
            for lists in results
            for author, photos in lists.items()
        }

    joined = JoinedReads(read)

    async def newest_photos(authors: Sequence[UserId]) -> Mapping[UserId, Source]:
        return await joined.get(authors) if len(authors) <= lists_max else {}

    return newest_photos
