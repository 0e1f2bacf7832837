"""Count the queued renditions; if too many are queued, the API rejects new uploads."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE
from streams.kafka.offsets.queued import BrokerOffsets, queued_records
from streams.roles import RENDITION_LANES, Role, group_of
from topics.catalogue import RENDITIONS, Lane
from topics.sizes import Sizes

# If the last count and the last failure are older, `queued` asks the broker before it returns.
FRESH_S = 1.0
# While the broker does not answer, its last count is used for so long.
AGE_S_MAX = 5.0
ASK_S_MAX = 1.0

# A full task makes three renditions, a thumbnail task one.
RENDITIONS_PER_TASK: Mapping[Lane, int] = {Lane.THUMBNAIL: 1, Lane.FULL: 3}


class RenditionsQueue:
    """The number of queued renditions; the broker is asked only if somebody asks.

    `clock_s` is monotonic. `sizes` may raise StoreUnavailable.
    """

    def __init__(
        self,
        offsets: BrokerOffsets,
        *,
        namespace: str,
        sizes: Callable[[], Sizes],
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._offsets = offsets
        self._sizes = sizes
        self._namespace = namespace
        self._clock_s = clock_s
        self._queued = 0
        self._asked_s = self._failed_s = float("-inf")
        self._turn = asyncio.Lock()

    async def queued(self) -> int:
        """Return how many renditions were queued, at most `AGE_S_MAX` seconds ago.

        Raises:
            StoreUnavailable: The last count is older, and the broker did not answer.
        """
        if not self._is_usable():
            async with self._turn:
                if not self._is_usable():  # Another caller may have asked while this one waited.
                    await self._refresh()
        return self._queued

    def _is_usable(self) -> bool:
        now_s = self._clock_s()
        newest_s = max(self._asked_s, self._failed_s)
        return now_s - newest_s <= FRESH_S and now_s - self._asked_s <= AGE_S_MAX

    async def _refresh(self) -> None:
        try:
            await self._ask()
        except StoreUnavailable:
            self._failed_s = self._clock_s()
            if self._failed_s - self._asked_s > AGE_S_MAX:
                raise

    async def _ask(self) -> None:
        # The age counts from the request: the result may lack tasks that were queued after it.
        asked_s = self._clock_s()
        try:
            async with asyncio.timeout(ASK_S_MAX):
                renditions = await asyncio.gather(
                    *(self._renditions(role, lane) for role, lane in RENDITION_LANES.items())
                )
        except TimeoutError:
            raise StoreUnavailable(STORE, "offsets", f"no answer within {ASK_S_MAX:g} s") from None
        self._queued = sum(renditions)
        self._asked_s = asked_s

    async def _renditions(self, role: Role, lane: Lane) -> int:
        tasks = await queued_records(
            self._offsets,
            group=group_of(self._namespace, role),
            topic=RENDITIONS.named(self._namespace),
            partitions=self._sizes().range_of(RENDITIONS, lane),
        )
        return tasks * RENDITIONS_PER_TASK[lane]
