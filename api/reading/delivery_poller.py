"""Whether the timelines have what was delivered to them, as this process knows it, about a second old."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.delivery_age import DeliveryAge
from streams.errors import StoreUnavailable
from streams.overload.known_posts import KnownDeferredPosts
from streams.polling import poll
from streams.ports.cache import Cache
from streams.ports.photos import UndeliveredPhotos
from streams.ports.timelines import Timelines
from streams.stores.cache.keys import photo_key, pull_list_key

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

    def is_current(self) -> bool:
        """Whether every photo that became ready more than 5 s ago is in the timelines, is deferred, or has a
        pulled or an undelivered author."""
        applied_s = self._age.applied_s
        return applied_s is not None and self.clock_s() - applied_s <= AGE_S_MAX

    def authors(self) -> frozenset[UserId]:
        """Return the authors of undelivered photos: their worker is at it, or died."""
        return self._age.undelivered

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
        stuck = undelivered.items() & self._seen.items()
        keys = [key for photo, author in stuck for key in (photo_key(photo), pull_list_key(author))]
        await self.cache.invalidate(keys)
        self._seen = undelivered
        # A photo that was deferred meanwhile is in it, because it was stored before it left `undelivered`.
        await self.deferred.refresh()
        if not self.deferred.is_whole:
            raise StoreUnavailable("cassandra", "deferred posts", f"more than {self.deferred.posts_max:,}")
        partitions = self.partitions()
        ends = await self.ends.ends([(self.topic, partition) for partition in partitions])
        # The checkpoints are read after the ends, so a record that is published and applied in between
        # does not look as if it waited.
        checkpoints = await self.timelines.checkpoints(partitions)
        self._age.observe(
            now_s,
            frozenset(undelivered.values()),
            {partition: end for (_, partition), end in ends.items()},
            checkpoints,
        )

    async def run(self) -> None:
        """Refresh every `POLL_S` seconds; runs until cancelled."""
        await poll(self.refresh, POLL_S, log=log, failure="how far deliveries are applied is not known")
