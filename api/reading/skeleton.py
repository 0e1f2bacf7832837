"""Where a feed's photo ids come from: pull lists and the timeline, and below those the database.

Pull lists are read before the timeline: a photo that is taken off a pull list has been
in the timelines for a minute by then, so in this order none falls between the two.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from api.reading.cached_reads import CachedReads
from api.reading.pulled_authors import PulledAuthorsPoller
from schemas.ids import UserId
from streams.core import ring
from streams.core.edges import Following
from streams.core.feed import END, Gaps, Skeleton, Source, union
from streams.errors import StoreUnavailable
from streams.ports.groups import Stores
from streams.settings import Settings
from streams.timelines.newest import newest_of
from streams.timelines.rebuild import Rebuilder, RebuildOutcome

# More lists than these are one window over their authors: 256 lists of 100 pairs are 400 kB
# of Redis's answer, and somebody who has just followed thousands would have as many lists.
PULL_LISTS_MAX = 256

# A rebuild may take this share of a request's time; the page itself needs the rest.
REBUILD_WAIT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class FeedSources:
    """Every source of every feed."""

    settings: Settings
    stores: Stores
    reads: CachedReads
    pulled: PulledAuthorsPoller
    rebuilder: Rebuilder
    clock_us: Callable[[], int]

    async def stored(self, reader: UserId, following: Following, below: int, gaps: Gaps) -> Sequence[Source]:
        """What is kept ready for the reader; nothing where Redis does not answer.

        Notes in `gaps` what is not vouched for.
        """
        try:
            lists = await self._pull_lists(reader, following, below, gaps)
            timeline = await self._timeline(reader, gaps)
        except StoreUnavailable:
            return ()
        return [*lists, timeline]

    async def must_wait(self, reader: UserId) -> bool:
        """Whether the reader's timeline is not there, and cannot be rebuilt before others' are."""
        if not self.rebuilder.is_full or self.rebuilder.is_running(reader):
            return False
        try:
            is_there = await self.stores.timelines.read(reader) is not None
        except StoreUnavailable:
            return False  # A page can do without.
        if not is_there:
            self.rebuilder.count(RebuildOutcome.LIMITED)
        return not is_there

    async def deeper(self, reader: UserId, following: Following, below: int) -> Skeleton:
        """The next window of the database, over everybody followed and the reader.

        Raises:
            StoreUnavailable: The database did not answer.
            TooManyReads: See `DatabaseReads`.
        """
        return union([await self._window(reader, following, below)], below)

    async def _window(self, reader: UserId, authors: Iterable[UserId], below: int) -> Source:
        async with self.reads.through.reads.slot():
            return await newest_of(
                self.stores.author_photos,
                [*authors, reader],
                below=below,
                count=self.settings.feed_window_ids,
                unready_of=reader,
            )

    async def _pull_lists(self, reader: UserId, following: Following, below: int, gaps: Gaps) -> list[Source]:
        authors = (self.pulled.authors & following.keys()) | self._recent(following)
        if len(authors) > PULL_LISTS_MAX:
            return [await self._window(reader, authors, below)]
        found = await self.reads.pull_lists([*authors, reader])
        gaps.missing |= bool(found.unknown)
        ids_max = self.settings.pull_list_ids_max
        return [
            Source(
                photos.all if author == reader else photos.ready,
                photos.floor(ids_max),
            )
            for author, photos in found.values.items()
        ]

    def _recent(self, following: Following) -> set[UserId]:
        """Those followed so lately that their photos may not be in the timeline yet."""
        since_ms = self.clock_us() // 1_000 - self.settings.recent_follow_s * 1_000
        if max(following.values(), default=0) <= since_ms:
            return set()
        return {followee for followee, seen_ms in following.items() if seen_ms > since_ms}

    async def _timeline(self, reader: UserId, gaps: Gaps) -> Source:
        value, is_verified = await asyncio.gather(
            self.stores.timelines.read(reader), self.stores.timelines.verified()
        )
        if value is None or self.rebuilder.is_running(reader):
            wait_s = self.settings.request_deadline_ms / 1_000 * REBUILD_WAIT_SHARE
            window = await self.rebuilder.rebuild(reader, wait_s=wait_s)
            if window is not None:
                return window
            gaps.rebuilding = True
        if value is None:
            return Source((), END)
        stored = ring.parse(value)
        gaps.rebuilding |= stored.token != ring.NO_TOKEN
        gaps.missing |= not (is_verified and self.pulled.is_fresh())
        return Source(stored.descending(), stored.floor)
