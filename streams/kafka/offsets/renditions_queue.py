"""How many renditions wait to be made: what decides whether uploads are taken."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol

from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import STORE
from topics.catalogue import RENDITIONS, Lane

log = logging.getLogger(__name__)

REFRESH_S = 1.0
# Whoever has nothing newer asks by itself.
AGE_S_MAX = 5.0
ASK_S_MAX = 1.0

# A full task makes three renditions, a thumbnail task one.
RENDITIONS_A_TASK: Mapping[Lane, int] = {Lane.THUMBNAIL: 1, Lane.FULL: 3}

Place = tuple[str, int]


class OffsetsSource(Protocol):
    """See `offsets.Offsets`."""

    async def committed(self, group: str, topic: str, partitions: range) -> dict[int, int]: ...

    async def begins(self, places: list[Place]) -> dict[Place, int]: ...

    async def ends(self, places: list[Place]) -> dict[Place, int]: ...


class RenditionsQueue:
    """The length of the queue, a second old or so while `run` runs."""

    def __init__(
        self, offsets: OffsetsSource, *, namespace: str, clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._offsets = offsets
        self._namespace = namespace
        self._clock_s = clock_s
        self._queued = 0
        self._known_s: float | None = None
        self._turn = asyncio.Lock()

    async def queued(self) -> int:
        """How many renditions waited, at most `AGE_S_MAX` ago.

        Raises:
            StoreUnavailable: Kafka does not say.
        """
        if not self._is_fresh():
            async with self._turn:
                if not self._is_fresh():  # Of many who waited, one has asked.
                    await self._ask()
        return self._queued

    def _is_fresh(self) -> bool:
        return self._known_s is not None and self._clock_s() - self._known_s <= AGE_S_MAX

    async def run(self) -> None:
        """For ever, every `REFRESH_S`."""
        while True:
            try:
                async with self._turn:
                    await self._ask()
            except StoreUnavailable as error:
                log.debug("the length of the renditions' queue grows old: %s", error)
            await asyncio.sleep(REFRESH_S)

    async def _ask(self) -> None:
        asked_s = self._clock_s()
        try:
            async with asyncio.timeout(ASK_S_MAX):
                lags = await asyncio.gather(*(self._lag(lane) for lane in RENDITIONS_A_TASK))
        except TimeoutError:
            raise StoreUnavailable(STORE, "offsets", f"no answer within {ASK_S_MAX:g} s") from None
        self._queued = sum(lag * per for lag, per in zip(lags, RENDITIONS_A_TASK.values(), strict=True))
        self._known_s = asked_s

    async def _lag(self, lane: Lane) -> int:
        """Tasks of the lane that are not committed; all that its log holds where nothing is."""
        topic, partitions = RENDITIONS.named(self._namespace), RENDITIONS.range_of(lane)
        places = [(topic, partition) for partition in partitions]
        committed, begins, ends = await asyncio.gather(
            self._offsets.committed(f"{self._namespace}renditions-{lane}", topic, partitions),
            self._offsets.begins(places),
            self._offsets.ends(places),
        )
        return sum(max(0, ends[place] - max(begins[place], committed.get(place[1], 0))) for place in places)
