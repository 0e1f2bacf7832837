"""The sources of a feed's photo ids: pull lists and the timeline, and below those the database.

Pull lists are read before the timeline. A photo leaves a pull list only after it has been in
the timelines for a minute, so in this order no photo is missed by both reads.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from api.reading.cached_reads import CachedReads
from api.reading.delivery_poller import DeliveryPoller
from api.reading.pulled_authors import PulledAuthorsPoller
from schemas.ids import UserId, pack_id
from streams.core import ring
from streams.core.edges import Following
from streams.core.feed import END, Gaps, Skeleton, Source, union
from streams.errors import StoreUnavailable
from streams.ports.photos import AuthorPhotos
from streams.ports.timelines import Timelines
from streams.settings import FeedSettings
from streams.timelines.newest import AUTHORS_A_CALL, CALLS_IN_FLIGHT_MAX, newest_of
from streams.timelines.rebuild import Rebuilder, RebuildOutcome

# Above this number of lists, one window of the database over their authors costs less. 256 lists of
# 100 pairs are 400 kB from Redis, and a reader who has just followed thousands of authors would
# have thousands of lists.
PULL_LISTS_MAX = 256

# A window of more authors takes several rounds of calls. At 10,000 followees these are 157 calls, so each
# reader has one at a time, and rests after it.
LARGE_WINDOW_AUTHORS = AUTHORS_A_CALL * CALLS_IN_FLIGHT_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSources:
    """Where the photo ids of a reader's feed come from."""

    settings: FeedSettings
    reads: CachedReads
    timelines: Timelines
    author_photos: AuthorPhotos
    pulled: PulledAuthorsPoller
    delivery: DeliveryPoller
    rebuilder: Rebuilder
    rebuild_wait_s: float
    clock_us: Callable[[], int]
    pull_lists_max: int = PULL_LISTS_MAX
    large_window_authors: int = LARGE_WINDOW_AUTHORS

    async def stored(self, reader: UserId, following: Following, below: int) -> tuple[Sequence[Source], Gaps]:
        """The pull lists and the timeline of the reader; no source if Redis does not respond."""
        gaps = Gaps()
        try:
            lists, gaps = await self._pull_lists(reader, following, below)
            timeline, timeline_gaps = await self._timeline(reader)
        except StoreUnavailable:
            return (), gaps
        return [*lists, timeline], gaps | timeline_gaps

    async def must_wait(self, reader: UserId) -> bool:
        """Whether the reader has no timeline and its rebuild must wait until another one ends."""
        if not self.rebuilder.is_full or self.rebuilder.is_running(reader):
            return False
        try:
            is_stored = await self.timelines.read(reader) is not None
        except StoreUnavailable:
            return False  # A page can be made without Redis.
        if not is_stored:
            self.rebuilder.count(RebuildOutcome.LIMITED)
        return not is_stored

    async def deeper(self, reader: UserId, following: Following, below: int) -> Skeleton:
        """Read the next window of the database below `below`: of the reader and their followees.

        Raises:
            StoreUnavailable: The database did not respond.
            TooManyReads: See `DatabaseReads`.
        """
        return union([await self._window(reader, following, below)], below)

    async def _window(self, reader: UserId, authors: Iterable[UserId], below: int) -> Source:
        all_authors = [*authors, reader]
        through = self.reads.through
        is_large = len(all_authors) > self.large_window_authors
        turn = through.large_reads.turn(b"window" + pack_id(reader)) if is_large else nullcontext()
        async with turn, through.reads.slot():
            return await newest_of(
                self.author_photos,
                all_authors,
                below=below,
                count=self.settings.feed_window_ids,
                unready_of=reader,
            )

    async def _pull_lists(
        self, reader: UserId, following: Following, below: int
    ) -> tuple[list[Source], Gaps]:
        authors = (
            (self.pulled.authors & following.keys())
            | (self.delivery.authors() & following.keys())
            | self._recent(following)
        )
        if len(authors) > self.pull_lists_max:
            return [await self._window(reader, authors, below)], Gaps()
        lists = await self.reads.pull_lists([*authors, reader])
        ids_max = self.settings.pull_list_ids_max
        sources = [
            Source(
                photos.all if author == reader else photos.ready,
                photos.floor(ids_max),
            )
            for author, photos in lists.values.items()
        ]
        return sources, Gaps(missing=bool(lists.unknown))

    def _recent(self, following: Following) -> set[UserId]:
        """The followees followed so recently that the timeline may not have their photos yet."""
        since_ms = self.clock_us() // 1_000 - self.settings.recent_follow_s * 1_000
        if max(following.values(), default=0) <= since_ms:
            return set()
        return {followee for followee, seen_ms in following.items() if seen_ms > since_ms}

    async def _timeline(self, reader: UserId) -> tuple[Source, Gaps]:
        value, is_verified = await asyncio.gather(self.timelines.read(reader), self.timelines.verified())
        is_rebuilding = value is None or self.rebuilder.is_running(reader)
        if is_rebuilding:
            window = await self.rebuilder.rebuild(reader, wait_s=self.rebuild_wait_s)
            if window is not None:
                return window, Gaps()
        if value is None:
            return Source((), END), Gaps(rebuilding=True)
        timeline = ring.parse(value)
        gaps = Gaps(
            rebuilding=is_rebuilding or timeline.token != ring.NO_TOKEN,
            missing=not (is_verified and self.pulled.is_fresh() and self.delivery.is_current()),
        )
        return Source(timeline.descending(), timeline.floor), gaps
