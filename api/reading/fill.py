"""Read down a skeleton until a page is full: fetch rows in chunks, and keep those that the rules allow."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streams.core.feed import END, Gaps, Skeleton
from streams.core.photos import SeenPhoto
from streams.errors import StoreUnavailable
from streams.stores.cache.read_through import ReadResult

# The first fetch has as many rows as the page, each further one twice as many, up to this number.
# A timeline full of photos that are all hidden, because their author is no longer followed,
# therefore costs five calls instead of hundreds.
CHUNK_PHOTOS_MAX = 500


@dataclass(frozen=True, slots=True)
class FilledPage:
    """A page's photos in order. `next_below` is where the next page begins; None at the end."""

    photos: list[SeenPhoto]
    next_below: int | None
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class PageFiller:
    """Fetches the photos of one page.

    `deeper` returns the skeleton below an id; if it is None, the page ends with its skeleton.
    """

    rows: Callable[[Sequence[int]], Awaitable[ReadResult[SeenPhoto]]]
    is_shown: Callable[[SeenPhoto], bool]
    deeper: Callable[[int], Awaitable[Skeleton]] | None

    async def page(self, skeleton: Skeleton, below: int, limit: int) -> FilledPage:
        """Up to `limit` photos in the skeleton's order.

        `next_below` is the last *scanned* id, whether its photo is shown or hidden, so the pages
        neither repeat nor skip a photo. A page before the end is shorter than `limit` only if it
        has gaps.
        """
        photos: list[SeenPhoto] = []
        gaps = Gaps()
        while True:
            scan = await self._scan(skeleton.ids, limit - len(photos), chunk=limit)
            photos += scan.photos
            gaps |= scan.gaps
            if scan.count:
                below = skeleton.ids[scan.count - 1]
            if len(photos) == limit:
                is_end = scan.count == len(skeleton.ids) and skeleton.bound == END
                return FilledPage(photos, None if is_end else below, gaps)
            if skeleton.bound == END:
                return FilledPage(photos, None, gaps)
            below = min(below, skeleton.bound + 1)
            if self.deeper is None:
                return FilledPage(photos, below, gaps)
            try:
                skeleton = await self.deeper(below)
            except StoreUnavailable:
                return FilledPage(photos, below, gaps | Gaps(missing=True))

    async def _scan(self, ids: Sequence[int], room: int, *, chunk: int) -> "_Scan":
        """The shown photos among `ids`, up to `room`; the first fetch has `chunk` rows."""
        photos: list[SeenPhoto] = []
        count, gaps = 0, Gaps()
        while count < len(ids) and len(photos) < room:
            chunk_ids = ids[count : count + chunk]
            rows = await self.rows(chunk_ids)
            gaps |= Gaps(missing=bool(rows.unknown))
            for photo_id in chunk_ids:
                count += 1
                photo = rows.values.get(photo_id)
                if photo is not None and self.is_shown(photo):
                    photos.append(photo)
                    if len(photos) == room:
                        break
            chunk = min(2 * chunk, CHUNK_PHOTOS_MAX)
        return _Scan(photos, count, gaps)


@dataclass(frozen=True, slots=True)
class _Scan:
    """The shown photos among the first `count` ids."""

    photos: list[SeenPhoto]
    count: int
    gaps: Gaps
