"""Find exactly the newest photos of many authors, and read only a few photos of most authors."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest

from more_itertools import sliced

from schemas.ids import UserId
from streams.core.feed import END, Source
from streams.core.photos import AuthorPhoto
from streams.gathering import gather_bounded
from streams.ports.photos import AuthorPhotos

AUTHORS_A_CALL = 64
CALLS_IN_FLIGHT_MAX = 8
# It is not known beforehand which authors have the newest photos. The first round reads a few
# photos of each author. Each further round reads four times as many, but only of the authors who
# may have more photos among the newest.
EACH_MIN = 8
EACH_GROWTH = 4

PhotosByAuthor = Mapping[UserId, Sequence[AuthorPhoto]]


async def newest_of(
    author_photos: AuthorPhotos,
    authors: Sequence[UserId],
    *,
    below: int,
    count: int,
    unready_of: UserId | None = None,
) -> Source:
    """Return the newest `count` photos of `authors` with ids below `below`, descending.

    Only ready photos are returned, except that photos of the author `unready_of` are returned in
    any state. The floor is 0 if there are no more photos. After the first round, an author is read
    again only if all of the author's photos read so far are among the newest. If all photos are
    ready, these are at most count / EACH_MIN authors.

    Raises:
        StoreUnavailable: The database did not answer.
    """
    known: dict[UserId, Sequence[AuthorPhoto]] = {}
    asking: Sequence[UserId] = list(dict.fromkeys(authors))
    each_max = min(count + 1, max(EACH_MIN, 2 * count // max(1, len(asking))))
    chosen: list[int] = []
    while asking:
        known.update(await _ask(author_photos, asking, below, each_max))
        # One photo more than `count` shows whether there are more.
        chosen = nlargest(count + 1, _that_count(known, unready_of))
        cut = chosen[-1] if len(chosen) > count else END
        asking = [author for author in asking if _may_hold_more(known[author], each_max, cut)]
        each_max *= EACH_GROWTH
    window = tuple(chosen[:count])
    return Source(window, window[-1] - 1 if len(chosen) > count else END)


def _that_count(known: PhotosByAuthor, unready_of: UserId | None) -> Iterator[int]:
    for author, photos in known.items():
        for photo in photos:
            if photo.ready or author == unready_of:
                yield photo.photo_id


def _may_hold_more(photos: Sequence[AuthorPhoto], asked: int, cut: int) -> bool:
    return len(photos) == asked and photos[-1].photo_id > cut


async def _ask(
    author_photos: AuthorPhotos, authors: Sequence[UserId], below: int, each_max: int
) -> dict[UserId, Sequence[AuthorPhoto]]:
    async def call(some: Sequence[UserId]) -> PhotosByAuthor:
        return await author_photos.newest(some, below=below, each_max=each_max)

    results = await gather_bounded(sliced(authors, AUTHORS_A_CALL), call, at_once=CALLS_IN_FLIGHT_MAX)
    return {author: photos for result in results for author, photos in result.items()}
