"""The budget of rebuilds, and the shared token buckets, in memory."""

from collections.abc import Callable

from streams.core.limits.rates import Rate, TokenBucket
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
