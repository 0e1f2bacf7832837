"""The sources of a feed's photo ids: pull lists, deferred photos and the timeline, and below the database.

Pull lists are read before the timeline. A photo leaves a pull list only after it has been in
the timelines for a minute, so in this order no photo is missed by both reads.

Which lists a page needs depends on whom the reader follows. To read all three in one round trip, a page
asks for the lists that the reader's last page needed. If it needs others, it reads these, and then the
timeline again. Lists that many pages need at once are held in the process for a moment (`hot_lists.py`). They
are older than the timeline, too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence, Set
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from cachetools import LRUCache

from api.reading.delivery_poller import DeliveryPoller
from api.reading.follow_poller import FollowPoller
from api.reading.hot_lists import HotLists
from api.reading.pulled_authors import PulledAuthorsPoller
from schemas.ids import UserId, pack_id
from streams.core import ring
from streams.core.edges import Following
from streams.core.feed import END, Gaps, Skeleton, Source, union
from streams.core.photos import PullList
from streams.errors import StoreUnavailable
from streams.ports.photos import AuthorPhotos
from streams.ports.timelines import PageStart, PageStarts, Timelines
from streams.settings import FeedSettings
from streams.stores.cache.cached_reads import PULL_LISTS_MAX, CachedReads
from streams.stores.cache.read_through import ReadResult
from streams.timelines.newest import AUTHORS_A_CALL, CALLS_IN_FLIGHT_MAX, newest_of
from streams.timelines.rebuild import Rebuilder, RebuildOutcome

# A window of more authors takes several rounds of calls. At 10,000 followees these are 157 calls, so each
# reader has one at a time, and rests after it.
LARGE_WINDOW_AUTHORS = AUTHORS_A_CALL * CALLS_IN_FLIGHT_MAX

# The readers whose last page needed lists are remembered, each with at most so many authors: 5 MB in all.
READERS_REMEMBERED_MAX = 8_192
AUTHORS_REMEMBERED_MAX = 64


@dataclass(frozen=True, slots=True)
class ListedAuthors:
    """Whose pull lists a reader's page needs, as this process knew at one moment: of those of them whom the
    reader follows, and of those followed after `since_ms`.

    If `is_current`, these lists, what is deferred and a timeline that is read later have every photo that
    was ready 5 s before that moment, of all but the `stale` authors.
    """

    pulled: frozenset[UserId]
    undelivered: frozenset[UserId]
    stale: frozenset[UserId]
    since_ms: int
    is_current: bool

    def shows_stale(self, reader: UserId, following: Following) -> bool:
        """Return whether the reader sees photos of a stale author."""
        return reader in self.stale or not self.stale.isdisjoint(following.keys())

    def among(self, following: Following) -> set[UserId]:
        """Return the followees whose lists are needed."""
        authors = (self.pulled & following.keys()) | (self.undelivered & following.keys())
        # The timeline may not have the photos of those followed recently yet.
        if max(following.values(), default=0) > self.since_ms:
            authors |= {followee for followee, seen_ms in following.items() if seen_ms > self.since_ms}
        return set(authors)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the first read of a page brought: whom the reader follows, and pull lists by author.

    The cache was asked for the lists of the authors in `asked`. Those of `crowded` authors are read by many
    pages together. `lists` has held lists, too. `start` has the timeline, which was read after the lists, or
    None if Redis did not respond. `listed` is from before all this.
    """

    asked: frozenset[UserId]
    crowded: Collection[int]
    following: ReadResult[Following]
    lists: Mapping[int, PullList]
    start: PageStart | None
    listed: ListedAuthors


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSources:
    """Where the photo ids of a reader's feed come from."""

    settings: FeedSettings
    reads: CachedReads
    timelines: Timelines
    page_starts: PageStarts
    author_photos: AuthorPhotos
    pulled: PulledAuthorsPoller
    delivery: DeliveryPoller
    follows: FollowPoller
    hot_lists: HotLists
    rebuilder: Rebuilder
    rebuild_wait_s: float
    clock_us: Callable[[], int]
    clock_s: Callable[[], float]
    pull_lists_max: int = PULL_LISTS_MAX
    large_window_authors: int = LARGE_WINDOW_AUTHORS
    _last_listed: MutableMapping[UserId, Sequence[UserId]] = field(
        default_factory=lambda: LRUCache(READERS_REMEMBERED_MAX), init=False
    )

    async def begin(self, reader: UserId) -> Beginning:
        """Read whom the reader follows, and in the same round trip what its last page needed.

        Raises:
            TooManyReads: See `DatabaseReads`.
        """
        listed = self._listed(reader)
        needed = self._last_listed.get(reader, ())
        taken = self.hot_lists.take(needed)
        authors = [
            *(author for author in needed if author not in taken.lists and author not in taken.crowded),
            reader,
        ]
        start, read_s = None, self.clock_s()
        with suppress(StoreUnavailable):  # Then the page comes from the database.
            start = await self.page_starts.read(self.reads.start_keys(reader, authors), reader)
        following, lists = await self.reads.start_of(reader, authors, None if start is None else start.cached)
        self.hot_lists.hold(lists.values, read_s)
        known = {**taken.lists, **lists.values}
        return Beginning(frozenset(authors), taken.crowded, following, known, start, listed)

    async def stored(
        self, reader: UserId, following: Following, below: int, beginning: Beginning
    ) -> tuple[Sequence[Source], Gaps]:
        """The pull lists and the timeline of the reader; no source if Redis does not respond."""
        listed = beginning.listed
        gaps = Gaps(missing=listed.shows_stale(reader, following))
        try:
            lists, list_gaps, start = await self._lists_and_start(reader, following, below, beginning)
            gaps |= list_gaps
            timeline, timeline_gaps = await self._timeline(reader, start, is_current=listed.is_current)
        except StoreUnavailable:
            return (), gaps
        return [*lists, *self._deferred(reader, following), timeline], gaps | timeline_gaps

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

    def _listed(self, reader: UserId) -> ListedAuthors:
        since_ms = self.clock_us() // 1_000 - self.settings.recent_follow_s * 1_000
        backfilled_ms = self.follows.backfilled_ms()
        is_current = backfilled_ms is not None and self.pulled.is_fresh() and self.delivery.is_current(reader)
        if backfilled_ms is not None:  # Follows may take longer than usual.
            since_ms = min(since_ms, backfilled_ms)
        return ListedAuthors(
            self.pulled.authors,
            self.delivery.authors(reader),
            self.delivery.stale_authors(),
            since_ms,
            is_current,
        )

    async def _lists_and_start(
        self, reader: UserId, following: Following, below: int, beginning: Beginning
    ) -> tuple[Sequence[Source], Gaps, PageStart]:
        """Return the pull lists, and the timeline as it was read after them."""
        authors = beginning.listed.among(following)
        self._remember(reader, authors)
        start = beginning.start
        if start is not None and beginning.lists.keys() >= authors | {reader}:
            return self._sources(reader, authors, beginning.lists), Gaps(), start
        lists, gaps = await self._pull_lists(reader, self._listed(reader).among(following), below, beginning)
        # Without a timeline there is nothing to read again: its rebuild begins after the lists were read.
        if start is None or start.timeline is not None:
            start = await self.page_starts.read((), reader)
        return lists, gaps, start

    def _remember(self, reader: UserId, authors: Collection[UserId]) -> None:
        if 0 < len(authors) <= AUTHORS_REMEMBERED_MAX:
            self._last_listed[reader] = tuple(authors)
        else:
            self._last_listed.pop(reader, None)

    async def _pull_lists(
        self, reader: UserId, authors: Set[UserId], below: int, beginning: Beginning
    ) -> tuple[Sequence[Source], Gaps]:
        if len(authors) > self.pull_lists_max:
            return [await self._window(reader, authors, below)], Gaps()
        unknown = authors - beginning.lists.keys() - beginning.asked
        taken = self.hot_lists.take(unknown, counted=beginning.crowded)
        known = {**beginning.lists, **taken.lists}
        missing = [author for author in (*authors, reader) if author not in known]
        may_be_cached = beginning.start is None or not beginning.asked.issuperset(missing)
        read_s = self.clock_s()
        read = await self.reads.pull_lists(missing, may_be_cached=may_be_cached)
        self.hot_lists.hold(read.values, read_s)
        return self._sources(reader, authors, {**known, **read.values}), Gaps(missing=bool(read.unknown))

    def _sources(
        self, reader: UserId, authors: Iterable[UserId], lists: Mapping[int, PullList]
    ) -> Sequence[Source]:
        """Return those of the pull lists that are known."""
        ids_max = self.settings.pull_list_ids_max
        return [
            Source(
                photos.all if author == reader else photos.ready,
                photos.floor(ids_max),
            )
            for author in (*authors, reader)
            if (photos := lists.get(author)) is not None
        ]

    def _deferred(self, reader: UserId, following: Following) -> Sequence[Source]:
        """Return the deferred photos, which one leaves a minute after it is in the timelines."""
        known = self.delivery.deferred
        # Two sources, because the ids of each must descend.
        by_authors = known.photos_of(following.keys()), known.photos_of((reader,))
        return [Source(photos, END) for photos in by_authors if photos]

    async def _timeline(self, reader: UserId, start: PageStart, *, is_current: bool) -> tuple[Source, Gaps]:
        value = start.timeline
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
            missing=not (start.is_verified and is_current),
        )
        return Source(timeline.descending(), timeline.floor), gaps
