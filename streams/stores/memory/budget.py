"""The budget of rebuilds, the shared token buckets, and the shared slots, in memory."""

from collections.abc import Callable

from streams.core.limits.rates import Rate, TokenBucket
from streams.ports.leases import Leases
from streams.ports.rates import SharedRates
from streams.ports.timelines import RebuildBudget


class MemoryRebuildBudget(RebuildBudget):
    """Allows at most `per_s_max` rebuilds in any second of `clock_s`."""

    def __init__(self, per_s_max: int, clock_s: Callable[[], float]) -> None:
        self._per_s_max = per_s_max
        self._clock_s = clock_s
        self._taken_s: list[float] = []

    async def take(self) -> bool:
        now_s = self._clock_s()
        self._taken_s = [taken_s for taken_s in self._taken_s if taken_s > now_s - 1.0]
        if len(self._taken_s) >= self._per_s_max:
            return False
        self._taken_s.append(now_s)
        return True


class MemorySharedRates(SharedRates):
    """Buckets by name; `clock_s` refills them."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._buckets: dict[str, TokenBucket] = {}

    async def spend(self, bucket: str, tokens: int, rate: Rate) -> float:
        now_s = self._clock_s()
        return self._buckets.setdefault(bucket, TokenBucket(rate, now_s)).spend(tokens, now_s)


class MemoryLeases(Leases):
    """The time at which each holder loses its slot, by name and holder."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._until_ms: dict[str, dict[str, int]] = {}

    async def take(self, name: str, holder: str, *, slots_max: int, ttl_ms: int) -> bool:
        now_ms = self._clock_ms()
        holders = {
            other: until_ms for other, until_ms in self._until_ms.get(name, {}).items() if until_ms > now_ms
        }
        has_slot = holder in holders or len(holders) < slots_max
        if has_slot:
            holders[holder] = now_ms + ttl_ms
        self._until_ms[name] = holders
        return has_slot

    async def release(self, name: str, holder: str) -> None:
        self._until_ms.get(name, {}).pop(holder, None)
