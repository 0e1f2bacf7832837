"""What the cached lists of authors' newest photos say, for rebuilds of timelines.

These are the pull lists of pages. Readers who rebuild at the same time read the lists together, so after a
loss of Redis the database is asked for each author about once, not once for each of their followers.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from more_itertools import sliced

from api.reading.cached_reads import CachedReads
from api.reading.skeleton import PULL_LISTS_MAX
from schemas.ids import UserId
from streams.core.feed import Source
from streams.core.photos import PullList
from streams.gathering import gather_bounded
from streams.joined_reads import JoinedReads

LISTS_A_CALL = 256
CALLS_IN_FLIGHT_MAX = 4


def author_lists(
    reads: CachedReads, ids_max: int, *, lists_max: int = PULL_LISTS_MAX
) -> Callable[[Sequence[UserId]], Awaitable[Mapping[UserId, Source]]]:
    """Return a function that returns the newest ready photos of the authors whose lists can be read.

    It returns nothing for more than `lists_max` authors, because of so many a few photos each are enough,
    and lists have up to `ids_max`. It raises TooManyReads as `CachedReads.pull_lists` does.
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

    async def known_of(authors: Sequence[UserId]) -> Mapping[UserId, Source]:
        return await joined.get(authors) if len(authors) <= lists_max else {}

    return known_of
