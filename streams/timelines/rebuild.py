"""Rebuild a reader's timeline if it does not exist when the reader requests the feed.

Law: a rebuild loses nothing that arrives meanwhile. First, an empty timeline with a random token is
created, so that appends from now on are stored in it. Then the owner's followees are read, then
their photos. Finally, one atomic step merges the photos and clears the token. It is rejected if the
token is another rebuild's or the timeline has expired.

The followees are read after the timeline exists. If the backfill of an earlier follow found no
timeline, this read includes that follow, because its row was written before its backfill was
requested.

Photos may come from cached lists of authors' newest photos, which are also read after the timeline exists.
Such a list is invalidated after a photo's row says ready and before the photo's append is published. If a
server hangs, the append is published nevertheless, and once more after the list could be invalidated. So
if the last append found no timeline, the list that is read afterwards has the photo. The same holds for the
pull lists of pages; a rebuild reads the same cached values.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_bytes

from schemas.ids import PhotoId, UserId
from streams.core.feed import TOP, Source
from streams.core.ring import TOKEN_BYTES
from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.ports.edges import OutgoingEdges
from streams.ports.groups import TimelineStores
from streams.settings import TimelineSettings
from streams.stores.cache.database_reads import TooManyReads
from streams.timelines.newest import newest_of

log = logging.getLogger(__name__)


class RebuildOutcome(StrEnum):
    REBUILT = "rebuilt"
    OVERTAKEN = "overtaken"  # Not stored: the timeline expired, or another process rebuilds it.
    ELSEWHERE = "elsewhere"  # Not begun: another process rebuilds it, or has just done so.
    LIMITED = "limited"
    FAILED = "failed"


async def _nothing_known(_: Sequence[UserId]) -> Mapping[UserId, Source]:
    return {}


@dataclass(slots=True)
class Rebuilder:
    """The rebuilds of one process: at most `in_flight_max` at once, within a shared budget.

    `known_of` returns the newest ready photos of those of the authors for whom that takes no read of their
    own; it reads after it is called.
    """

    stores: TimelineStores
    followees_of: Callable[[UserId], Awaitable[Collection[UserId]]]
    timeline_ids: int
    in_flight_max: int
    count: Callable[[RebuildOutcome], None]
    known_of: Callable[[Sequence[UserId]], Awaitable[Mapping[UserId, Source]]] = _nothing_known
    _running: dict[UserId, asyncio.Task[Source]] = field(default_factory=dict, init=False)
    # In an outage every rebuild fails.
    _outages: LimitedLog = field(default_factory=lambda: LimitedLog(log), init=False)

    @property
    def is_full(self) -> bool:
        """Whether this process cannot begin another rebuild now."""
        return len(self._running) >= self.in_flight_max

    def is_running(self, owner: UserId) -> bool:
        return owner in self._running

    async def rebuild(self, owner: UserId, *, wait_s: float) -> Source | None:
        """Rebuild the timeline; returns the owner's newest photos as read from the database.

        Returns None if another process rebuilds the timeline, or if the limits do not allow a
        rebuild now. Also returns None if the rebuild takes longer than `wait_s`; then it continues
        in the background.

        Raises:
            StoreUnavailable: A store did not answer; call this again.
            TooManyReads: Too many reads of the database are waiting already.
        """
        task = self._running.get(owner) or await self._begin(owner)
        if task is None:
            return None
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        return task.result() if done else None

    async def close(self) -> None:
        """Cancel the running rebuilds; their unfinished timelines expire after a short TTL."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _begin(self, owner: UserId) -> asyncio.Task[Source] | None:
        if self.is_full or not await self.stores.rebuild_budget.take():
            self.count(RebuildOutcome.LIMITED)
            return None
        token = token_bytes(TOKEN_BYTES)
        if not await self.stores.timelines.begin_rebuild(owner, token):
            self.count(RebuildOutcome.ELSEWHERE)
            return None
        task = asyncio.create_task(self._run(owner, token), name="rebuild")
        self._running[owner] = task
        task.add_done_callback(lambda done: self._ended(owner, done))
        return task

    def _ended(self, owner: UserId, task: asyncio.Task[Source]) -> None:
        if self._running.get(owner) is task:  # Otherwise another one has begun meanwhile.
            del self._running[owner]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self.count(RebuildOutcome.FAILED)
        if isinstance(error, StoreUnavailable | TooManyReads):
            self._outages.warning("failed", "a rebuild failed: %s", str(error) or type(error).__name__)
        else:
            log.warning("a rebuild failed", exc_info=error)

    async def _run(self, owner: UserId, token: bytes) -> Source:
        try:
            authors = [*await self.followees_of(owner), owner]
            window = await newest_of(
                self.stores.author_photos,
                authors,
                below=TOP,
                count=self.timeline_ids,
                known=await self.known_of(authors),
            )
        except (StoreUnavailable, TooManyReads):
            await self._give_up(owner)
            raise
        self.count(await self._finish(owner, token, window))
        return window

    async def _finish(self, owner: UserId, token: bytes, window: Source) -> RebuildOutcome:
        found = [PhotoId(photo) for photo in window.ids]
        try:
            is_stored = await self.stores.timelines.finish_rebuild(owner, token, found, window.floor)
        except StoreUnavailable as error:
            self._outages.warning("unstored", "a timeline was read but could not be stored: %s", error)
            return RebuildOutcome.FAILED
        return RebuildOutcome.REBUILT if is_stored else RebuildOutcome.OVERTAKEN

    async def _give_up(self, owner: UserId) -> None:
        """Remove the unfinished timeline, so that the owner's next request can rebuild it at once.

        If another process has created or rebuilt the timeline meanwhile, this removes that
        timeline, too. The next request rebuilds it, so nothing is lost.
        """
        try:
            await self.stores.timelines.forget(owner)
        except StoreUnavailable as error:
            self._outages.warning("begun", "an unfinished timeline expires by itself: %s", error)


def database_rebuilder(
    stores: TimelineStores, outgoing_edges: OutgoingEdges, settings: TimelineSettings
) -> Rebuilder:
    """Return a rebuilder that reads everything from the database, and whose outcomes nobody counts."""

    async def followees_of(owner: UserId) -> list[UserId]:
        return list(await outgoing_edges.following(owner))

    def count(_: RebuildOutcome) -> None:
        return

    return Rebuilder(
        stores=stores,
        followees_of=followees_of,
        timeline_ids=settings.timeline_ids,
        in_flight_max=settings.rebuilds_in_flight_max,
        count=count,
    )
