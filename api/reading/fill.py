"""Walk down a skeleton until the page is full: fetch rows in chunks, keep those that the rules show."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streams.core.feed import END, Gaps, Skeleton
from streams.core.photos import SeenPhoto
from streams.errors import StoreUnavailable
from streams.stores.cache.read_through import ReadResult

# Rows are fetched a page's worth at a time, and twice as many each time that was not
# enough: a timeline full of somebody unfollowed costs five calls, not five hundred.
CHUNK_PHOTOS_MAX = 500


@dataclass(frozen=True, slots=True)
class Walk:
    """How one page's photos are found. `deeper` answers what else is known below a place."""

    rows: Callable[[Sequence[int]], Awaitable[ReadResult[SeenPhoto]]]
    is_shown: Callable[[SeenPhoto], bool]
    deeper: Callable[[int], Awaitable[Skeleton]] | None
    gaps: Gaps

    async def page(self, skeleton: Skeleton, below: int, limit: int) -> tuple[list[SeenPhoto], int | None]:
        """Up to `limit` photos in the skeleton's order, and the place below which the next page begins.

        The place is None at the end. It is the last *scanned* id, so that what is
        filtered is neither shown twice nor skipped. Notes in `gaps` what was not found
        out; only then is a page shorter than `limit` before the end.
        """
        photos: list[SeenPhoto] = []
        place = below
        while True:
            scanned = await self._scan(skeleton.ids, limit, photos)
            if scanned:
                place = skeleton.ids[scanned - 1]
            if len(photos) == limit:
                is_end = scanned == len(skeleton.ids) and skeleton.bound == END
                return photos, None if is_end else place
            if skeleton.bound == END:
                return photos, None
            place = min(place, skeleton.bound + 1)
            deeper = await self._deeper(place)
            if deeper is None:
                return photos, place
            skeleton = deeper

    async def _scan(self, ids: Sequence[int], limit: int, photos: list[SeenPhoto]) -> int:
        """Add what is shown, up to `limit` in all; answers how many ids were scanned."""
        at, chunk = 0, limit
        while at < len(ids) and len(photos) < limit:
            some = ids[at : at + chunk]
            found = await self.rows(some)
            self.gaps.missing |= bool(found.unknown)
            for photo_id in some:
                at += 1
                photo = found.values.get(photo_id)
                if photo is not None and self.is_shown(photo):
                    photos.append(photo)
                    if len(photos) == limit:
                        break
            chunk = min(2 * chunk, CHUNK_PHOTOS_MAX)
        return at

    async def _deeper(self, below: int) -> Skeleton | None:
        if self.deeper is None:
            return None
        try:
            return await self.deeper(below)
        except StoreUnavailable:
            self.gaps.missing = True
            return None
