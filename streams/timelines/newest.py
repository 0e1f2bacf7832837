"""Find exactly the newest photos of many authors, and read only a few photos of most authors."""

from collections.abc import Mapping, Sequence

from more_itertools import sliced

from schemas.ids import UserId
from streams.core.feed import END, Source, newest_ids
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


async def newest_of(
    author_photos: AuthorPhotos,
    authors: Sequence[UserId],
    *,
    below: int,
    count: int,
    unready_of: UserId | None = None,
    known: Mapping[UserId, Source] | None = None,
) -> Source:
    """Return the newest `count` photos of `authors` with ids below `below`, descending.

    Only ready photos are returned, except that photos of the author `unready_of` are returned in
    any state. The floor is 0 if there are no more photos. `known` has the newest such photos of some of
    the authors, who are then read only if they may have more among the newest. After the first round, an
    author is read again only if all of the author's photos read so far are among the newest. If all photos
    are ready, these are at most count / EACH_MIN authors.

    Raises:
        StoreUnavailable: The database did not answer.
    """
    sources: dict[UserId, Source] = {}
    asking: Sequence[UserId] = list(dict.fromkeys(authors))
    each_max = min(count + 1, max(EACH_MIN, 2 * count // max(1, len(asking))))
    if known:
        sources = {author: known[author] for author in asking if author in known}
        asking = [author for author in asking if author not in sources]
    while True:
        if asking:
            sources.update(await _ask(author_photos, asking, below, each_max, unready_of))
        # One photo more than `count` shows whether there are more.
        chosen = newest_ids([source.ids for source in sources.values()], count + 1)
        cut = chosen[-1] if len(chosen) > count else END
        asking = [author for author, source in sources.items() if source.floor >= max(cut, 1)]
        if not asking:
            window = tuple(chosen[:count])
            return Source(window, window[-1] - 1 if len(chosen) > count else END)
        each_max *= EACH_GROWTH


async def _ask(
    author_photos: AuthorPhotos,
    authors: Sequence[UserId],
    below: int,
    each_max: int,
    unready_of: UserId | None,
) -> dict[UserId, Source]:
    async def call(some: Sequence[UserId]) -> Mapping[UserId, Sequence[AuthorPhoto]]:
        return await author_photos.newest(some, below=below, each_max=each_max)

    results = await gather_bounded(sliced(authors, AUTHORS_A_CALL), call, at_once=CALLS_IN_FLIGHT_MAX)
    return {
        author: Source(
            [photo.photo_id for photo in photos if photo.ready or author == unready_of],
            photos[-1].photo_id - 1 if len(photos) == each_max else END,
        )
        for result in results
        for author, photos in result.items()
    }
