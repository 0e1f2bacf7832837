"""Finish photos that were delivered, and of which old values may be cached on a server that did not respond.

They are still among the undelivered photos. Once what is cached of a photo can be invalidated, the photo is
made ready again. That delivers it again, because a rebuild may have read the old list of its author after the
first delivery. The same happens to a photo whose worker died after it had made it ready.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from more_itertools import chunked

from schemas.ids import PhotoId, UserId
from streams.clock import unix_ms
from streams.core.delivery import DeliveryRules
from streams.core.photos import Photo, Status
from streams.metrics import UNDELIVERED
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.polling import poll
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import keys_of_photo
from topics.sizes import Sizes

# Deliveries take milliseconds; one that is there for two looks is not under way any more, or waits.
LOOK_S = 5.0
PHOTOS_AT_ONCE = 128
log = logging.getLogger(__name__)


@dataclass(slots=True)
class UndeliveredJob:
    """Looks every `LOOK_S` seconds while `owns` returns True. Two at once deliver twice, which is harmless.

    `clock_ms` is the wall clock.
    """

    stores: PhotoStores
    outbox: Outbox
    delivery_rules: DeliveryRules
    sizes: Sizes
    owns: Callable[[], bool]
    clock_ms: Callable[[], int] = unix_ms
    _seen: Mapping[PhotoId, UserId] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Runs until cancelled."""
        await poll(self.look, LOOK_S, log=log, failure="undelivered photos are looked at again soon")

    async def look(self) -> None:
        """Finish the photos that were undelivered at the look before, too.

        Raises:
            StoreUnavailable: Some are not finished; call this again.
        """
        undelivered = await self.stores.undelivered.all() if self.owns() else {}
        stuck, self._seen = undelivered.items() & self._seen.items(), undelivered
        UNDELIVERED.set(len(stuck))
        for some in chunked(sorted(stuck), PHOTOS_AT_ONCE):
            rows = await self.stores.photos.get([photo for photo, _ in some])
            await asyncio.gather(*(self._finish(rows.get(photo), photo, author) for photo, author in some))

    async def _finish(self, row: Photo | None, photo: PhotoId, author: UserId) -> None:
        if row is not None and (row.deleted or row.status is Status.REJECTED):
            await self.stores.undelivered.end([(photo, author)])
            return
        if row is None or row.status is not Status.READY:
            return  # Its task is not committed, so a handler makes it ready.
        if await self.stores.cache.invalidate_reachable(keys_of_photo(photo, author)):
            return  # Each delivery would be repeated.
        await photos_ready(
            self.stores,
            self.outbox,
            [ReadyPhoto(photo, author, {})],
            delivery_rules=self.delivery_rules,
            sizes=self.sizes,
            now_ms=self.clock_ms(),
        )
