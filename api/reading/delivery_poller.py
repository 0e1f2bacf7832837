"""Whether the timelines have what was delivered to them, as this process knows it, about a second old."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.checkpoints import group_of
from streams.core.delivery_age import DeliveryAge, Moment
from streams.errors import StoreUnavailable
from streams.overload.known_posts import KnownDeferredPosts
from streams.polling import poll
from streams.ports.cache import Cache
from streams.ports.photos import UndeliveredPhotos
from streams.ports.timelines import Timelines
from streams.stores.cache.keys import keys_of_photo

log = logging.getLogger(__name__)

POLL_S = 1.0
# A complete page has all photos that became ready more than 5 s ago. If something older is not applied
# yet, or nobody knows, a page does not claim to be complete.
AGE_S_MAX = 5.0


class LogEnds(Protocol):
    """Where logs end; `offsets.Offsets` implements it."""

    async def ends(self, partitions: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], int]: ...


@dataclass(slots=True)
class DeliveryPoller:
    """Asks every `POLL_S` seconds how far the normal lane of `fanout` has been applied, and what is deferred.

    What the bulk lane delivers is pulled as well, so no page waits for it: `deferred` is known to be as new.

    A server of timelines that does not respond makes the pages of its own readers grow older, and no others.

    `topic` is the name of `fanout` on the broker, and `partitions` returns those of the lane; it may raise
    StoreUnavailable. `clock_s` is monotonic. No request asks anything for it.
    """

    ends: LogEnds
    timelines: Timelines
    undelivered: UndeliveredPhotos
    cache: Cache
    deferred: KnownDeferredPosts
    topic: str
    partitions: Callable[[], range]
    clock_s: Callable[[], float] = monotonic
    _age: DeliveryAge = field(default_factory=DeliveryAge, init=False)
    _seen: Mapping[PhotoId, UserId] = field(default_factory=dict, init=False)
    _seen_s: float = field(default=float("-inf"), init=False)
    _groups: int = field(default=1, init=False)
    _stale: frozenset[UserId] = field(default=frozenset(), init=False)

    def is_current(self, reader: UserId) -> bool:
        """Whether every photo that became ready more than 5 s ago is in the reader's timeline, is deferred,
        or has a pulled, an undelivered or a stale author."""
        applied = self._applied(reader)
        return applied is not None and self.clock_s() - applied.at_s <= AGE_S_MAX

    def authors(self, reader: UserId) -> frozenset[UserId]:
        """Return the authors of photos that were not delivered when the reader's timeline had all others:
        their worker is at it, or died."""
        applied = self._applied(reader)
        return frozenset() if applied is None else applied.undelivered

    def stale_authors(self) -> frozenset[UserId]:
        """Return the authors of undelivered photos of which older values may be cached."""
        return self._stale

    async def refresh(self) -> None:
        """Ask once.

        Raises:
            StoreUnavailable: A store did not respond; the last answer grows older.
        """
        now_s = self.clock_s()
        # Read before the ends: a photo that is not in it any more was published, and counts in the ends.
        undelivered = await self.undelivered.all()
        # Deliveries take milliseconds. Where one takes a second, its worker may have died after it made
        # the photo ready and before it invalidated what is cached of it.
        # A process that has seen nothing for a while cannot tell which these are, and takes all for them.
        is_known = now_s - self._seen_s <= AGE_S_MAX
        stuck = undelivered.items() & self._seen.items() if is_known else undelivered.items()
        # At once, because each may wait for a server that hangs.
        self._stale, (ends, checkpoints) = await asyncio.gather(self._invalidate(stuck), self._read())
        self._seen, self._seen_s = undelivered, now_s
        self._groups = sum(len(groups) for groups, _ in checkpoints)
        self._age.observe(Moment(now_s, frozenset(undelivered.values()), ends), checkpoints)

    async def run(self) -> None:
        """Refresh every `POLL_S` seconds; runs until cancelled."""
        await poll(self.refresh, POLL_S, log=log, failure="how far deliveries are applied is not known")

    def _applied(self, reader: UserId) -> Moment | None:
        return self._age.applied(group_of(reader, self._groups))

    async def _read(
        self,
    ) -> tuple[Mapping[int, int], Sequence[tuple[Collection[int], Mapping[int, int] | None]]]:
        """Return where the logs end, and the lowest checkpoints of groups, which are beside them."""
        # A photo that was deferred meanwhile is in it, because it was stored before it left `undelivered`.
        await self.deferred.refresh()
        if not self.deferred.is_whole:
            raise StoreUnavailable("cassandra", "deferred posts", f"more than {self.deferred.posts_max:,}")
        partitions = self.partitions()
        ends = await self.ends.ends([(self.topic, partition) for partition in partitions])
        # The checkpoints are read after the ends, so a record that is published and applied in between
        # does not look as if it waited.
        checkpoints = await self.timelines.checkpoints_by_server(partitions)
        return {partition: end for (_, partition), end in ends.items()}, checkpoints

    async def _invalidate(self, photos: Collection[tuple[PhotoId, UserId]]) -> frozenset[UserId]:
        """Return the authors of photos of which older values may be cached still."""
        keys = {key for photo in photos for key in keys_of_photo(*photo)}
        old_keys = await self.cache.invalidate_reachable(list(keys))
        return frozenset(
            author for photo, author in photos if not old_keys.isdisjoint(keys_of_photo(photo, author))
        )
