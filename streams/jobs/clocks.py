"""Compare this process's clock with those of its stores, so that a wrong clock loses nothing.

The ids of photos and the times of events come from the clock of the process that makes them. If that
clock is minutes ahead, the check stage dead-letters its events as `from_the_future`, although the API
has acknowledged them. If a worker's clock is minutes behind, it does so to everybody's events.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic, time_ns
from typing import Self

from streams.core.clock_difference import difference_us
from streams.errors import StoreUnavailable
from streams.metrics import CLOCK_AHEAD
from streams.ports.health import StoreClock
from streams.settings import ClockSettings

# One reply that is awaited in vain must not delay the comparison with the other stores for long.
ANSWER_S_MAX = 2.0
# While a difference is too large, or a store has not answered yet.
AGAIN_S = 5
log = logging.getLogger(__name__)


class Clocks:
    """The difference from each store's clock: as it was compared last, plus what our clock has jumped since.

    `clock_us` is this process's wall clock, `clock_s` its monotonic one, which never jumps.
    """

    def __init__(
        self,
        settings: ClockSettings,
        clocks: Mapping[str, StoreClock],
        clock_us: Callable[[], int] = lambda: time_ns() // 1_000,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._ready_us_max = settings.clock_ready_difference_ms_max * 1_000
        self._write_us_max = settings.clock_write_difference_ms_max * 1_000
        self._compare_s = settings.clock_compare_s
        self._clocks = clocks
        self._clock_us = clock_us
        self._clock_s = clock_s
        # By store: how far our clock was ahead of the store's, less our offset then.
        self._ahead_of_us: dict[str, int] = {}
        self._silent: set[str] = set()

    @classmethod
    def of_stores(
        cls, settings: ClockSettings, *, cassandra: StoreClock, redis: StoreClock, kafka: StoreClock
    ) -> Self:
        """Return the comparison with the clocks of all stores that write times."""
        return cls(settings, {"cassandra": cassandra, "redis": redis, "kafka": kafka})

    async def run(self) -> None:
        """Compare every `clock_compare_s` seconds, and soon while something is wrong, until cancelled."""
        while True:
            is_complete = await self.compare()
            waited_s = 0
            while waited_s < self._compare_s:
                await asyncio.sleep(min(AGAIN_S, self._compare_s))
                waited_s += AGAIN_S
                if not is_complete or self.not_ready():
                    break

    async def compare(self) -> bool:
        """Ask every store for its time; return whether all answered. A store that does not answer keeps its
        last difference, because clocks do not change by an outage."""
        answered = await asyncio.gather(*(self._ask(store, clock) for store, clock in self._clocks.items()))
        return all(answered)

    def not_ready(self) -> str:
        """Return why this process is not ready, empty if all clocks are known and agree well enough."""
        unknown = self._clocks.keys() - self._ahead_of_us.keys()
        sentences = [f"the clock of {store} has never been compared" for store in sorted(unknown)]
        return "; ".join(filter(None, [*sentences, self._beyond(self._ready_us_max)]))

    def refuses_writes(self) -> str:
        """Return why this process must not write with its clock, empty if it may.

        It may if a clock is not known: in an outage of one store, the others still take writes.
        """
        return self._beyond(self._write_us_max)

    async def require_agreement(self) -> None:
        """Return if this process may judge times by its clock.

        Raises:
            StoreUnavailable: The clock differs too much. Retry: the clocks are compared meanwhile.
        """
        reason = self.refuses_writes()
        if reason:
            raise StoreUnavailable("clock", "compare", reason)

    async def _ask(self, store: str, clock: StoreClock) -> bool:
        before_us = self._clock_us()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                store_us = await clock.now_us()
        except (StoreUnavailable, TimeoutError) as error:
            if store not in self._silent:
                log.warning("the clock of %s is not known: %s", store, error)
            self._silent.add(store)
            return False
        self._silent.discard(store)
        ahead_us = difference_us(before_us, store_us, self._clock_us())
        self._ahead_of_us[store] = ahead_us - self._offset_us()
        CLOCK_AHEAD.labels(store).set(ahead_us / 1_000_000)
        if abs(ahead_us) > self._ready_us_max:
            log.warning("%s", _sentence(store, ahead_us))
        return True

    def _beyond(self, us_max: int) -> str:
        offset_us = self._offset_us()
        ahead_us = {store: then_us + offset_us for store, then_us in self._ahead_of_us.items()}
        return "; ".join(_sentence(store, us) for store, us in ahead_us.items() if abs(us) > us_max)

    def _offset_us(self) -> int:
        """Changes only when the wall clock jumps."""
        return self._clock_us() - int(self._clock_s() * 1_000_000)


def _sentence(store: str, ahead_us: int) -> str:
    direction = "ahead of" if ahead_us > 0 else "behind"
    return f"the clock is {abs(ahead_us) / 1_000_000:.3f} s {direction} that of {store}"
