"""Rebuild a reader's timeline when it is asked for and not there.

Law: a rebuild loses nothing that arrives meanwhile. The timeline is created empty under
a random token, so that appends land; then whom the owner follows is read, then their
photos; then both are merged and the token is cleared in one step, which is refused when
the token is another's or the timeline is gone.

Whom the owner follows is read after the timeline exists: the backfill of an earlier
follow may have found no timeline, but its row was written before it was asked for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_bytes

from schemas.ids import PhotoId, UserId
from streams.core.feed import TOP, Source
from streams.core.ring import TOKEN_BYTES
from streams.errors import StoreUnavailable
from streams.ports.groups import TimelineStores
from streams.stores.cache.read_through import TooManyReads
from streams.timelines.newest import newest_of

log = logging.getLogger(__name__)


class RebuildOutcome(StrEnum):
    REBUILT = "rebuilt"
    OVERTAKEN = "overtaken"  # The timeline went, or became another's, meanwhile.
    ELSEWHERE = "elsewhere"  # Somebody else rebuilds it, or just has.
    LIMITED = "limited"
    FAILED = "failed"


@dataclass(slots=True)
class Rebuilder:
    """One process's rebuilds: at most `in_flight_max`, within a budget shared by all processes."""

    stores: TimelineStores
    followees_of: Callable[[UserId], Awaitable[Collection[UserId]]]
    timeline_ids: int
    in_flight_max: int
    count: Callable[[RebuildOutcome], None]
    _running: dict[UserId, asyncio.Task[Source]] = field(default_factory=dict, init=False)

    @property
    def is_full(self) -> bool:
        """Whether this process can begin no other rebuild now."""
        return len(self._running) >= self.in_flight_max

    def is_running(self, owner: UserId) -> bool:
        return owner in self._running

    async def rebuild(self, owner: UserId, *, wait_s: float) -> Source | None:
        """The owner's newest photos as the database has them, which is what the timeline then holds.

        None when the timeline is being rebuilt elsewhere, or may not be now, or will be
        but not within `wait_s`: the rebuild then goes on by itself.

        Raises:
            StoreUnavailable: A store did not answer; ask again.
            TooManyReads: The database is asked by too many already.
        """
        task = self._running.get(owner) or await self._begin(owner)
        if task is None:
            return None
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        return task.result() if done else None

    async def close(self) -> None:
        """Give up what is running; each timeline begun goes with its short life."""
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
        del self._running[owner]
        if not task.cancelled() and task.exception() is not None:
            self.count(RebuildOutcome.FAILED)
            log.warning("a rebuild failed", exc_info=task.exception())

    async def _run(self, owner: UserId, token: bytes) -> Source:
        try:
            followees = await self.followees_of(owner)
            window = await newest_of(
                self.stores.author_photos, [*followees, owner], below=TOP, count=self.timeline_ids
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
            log.info("a timeline was read but could not be kept: %s", error)
            return RebuildOutcome.FAILED
        return RebuildOutcome.REBUILT if is_stored else RebuildOutcome.OVERTAKEN

    async def _give_up(self, owner: UserId) -> None:
        """Let the next reader begin at once. A timeline of another's that goes too is only rebuilt again."""
        try:
            await self.stores.timelines.forget(owner)
        except StoreUnavailable as error:
            log.info("a timeline begun goes by itself: %s", error)
