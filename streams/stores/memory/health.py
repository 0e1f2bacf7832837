"""The probe and the clock of stores in memory."""

from collections.abc import Callable

from streams.ports.health import StoreClock, StoreProbe


class MemoryStoreProbe(StoreProbe):
    """Memory is always ready."""

    async def check(self) -> None:
        pass


class MemoryStoreClock(StoreClock):
    """The clock of the test."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms

    async def now_us(self) -> int:
        return self._clock_ms() * 1_000
