"""Rates are decided in the process, and shared with other processes in batches."""

import asyncio

from prometheus_client import REGISTRY

from api.http.rate_limiter import RateLimiter
from streams.core.limits.rates import Rate
from streams.errors import StoreUnavailable
from streams.ports.rates import SharedRates
from streams.stores.memory.budget import MemorySharedRates

RATE = Rate(per_s=10, burst=50)
BATCH = 5


class _Shared(SharedRates):
    """Shared buckets that count the calls, and may be down."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls = 0
        self.down = False
        self._inner = MemorySharedRates(lambda: self.now_s)

    async def spend(self, bucket: str, tokens: int, rate: Rate) -> float:
        self.calls += 1
        if self.down:
            raise StoreUnavailable("redis", "rates", "down")
        return await self._inner.spend(bucket, tokens, rate)

    def limiter(self, *, buckets_max: int = 100) -> RateLimiter:
        return RateLimiter(self, buckets_max=buckets_max, clock_s=lambda: self.now_s)


async def _taken(limiters: list[RateLimiter], times: int, name: str = "a user") -> int:
    """Try to take a token of each limiter in turn; return how many were taken."""
    taken = 0
    for _ in range(times):
        for limiter in limiters:
            taken += not limiter.take(name, RATE)
            await asyncio.sleep(0)  # Reports run between two requests.
    await asyncio.sleep(0)
    return taken


async def test_the_shared_store_is_asked_once_a_batch() -> None:
    """The request itself never waits for the shared store."""
    shared = _Shared()
    limiter = shared.limiter()

    assert await _taken([limiter], BATCH - 1) == BATCH - 1
    assert shared.calls == 0
    await _taken([limiter], BATCH * 3)
    assert shared.calls == 3


async def test_above_the_rate_the_wait_is_known_and_costs_no_call() -> None:
    """A refused request spends nothing."""
    shared = _Shared()
    limiter = shared.limiter()
    assert await _taken([limiter], 60) == 50
    calls = shared.calls

    assert [round(limiter.take("a user", RATE), 3) for _ in range(9)] == [0.1] * 9
    assert shared.calls == calls
    assert limiter.take("another user", RATE) == 0
    shared.now_s += 0.1
    assert limiter.take("a user", RATE) == 0


async def test_processes_share_a_rate() -> None:
    """Four processes together allow a burst and at most a batch each, and then the rate of one."""
    shared = _Shared()
    processes = [shared.limiter() for _ in range(4)]
    burst = await _taken(processes, 50)
    longer = 0
    for _ in range(300):
        shared.now_s += 0.1
        longer += await _taken(processes, 2)

    assert RATE.burst <= burst <= RATE.burst + 4 * BATCH
    assert burst + longer <= RATE.burst + 30 * RATE.per_s + 4 * BATCH
    assert longer >= 30 * RATE.per_s - 8 * BATCH


async def test_without_the_shared_store_each_process_limits_alone() -> None:
    """The limit of one process still holds, and a metric says that the processes do not share it."""
    shared = _Shared()
    shared.down = True
    processes = [shared.limiter() for _ in range(2)]
    before = _unshared()

    assert await _taken(processes, 60) == 2 * 50
    assert _unshared() - before == 2 * 50 / BATCH


def _unshared() -> float:
    return REGISTRY.get_sample_value("shutterline_limits_unshared_total", {"limit": "rate"}) or 0.0


async def test_tokens_may_be_charged_beyond_what_is_left() -> None:
    """The debt delays the next request."""
    limiter = _Shared().limiter()
    limiter.charge("a user", RATE, 60)

    assert round(limiter.wait_s("a user", RATE), 3) == 1.1


async def test_a_debt_is_paid_in_full() -> None:
    """Without the shared store, too: time passes, and the user has as much as that time refills."""
    shared = _Shared()
    shared.down = True
    limiter = shared.limiter()
    limiter.charge("a user", RATE, 2 * RATE.burst)
    shared.now_s += RATE.burst / RATE.per_s

    assert round(limiter.wait_s("a user", RATE), 3) == 0.1


async def test_the_buckets_are_bounded() -> None:
    """The bucket that was not used for longest is dropped, so it is full again."""
    limiter = _Shared().limiter(buckets_max=2)
    await _taken([limiter], 50, "first")
    await _taken([limiter], 1, "second")
    await _taken([limiter], 1, "third")

    assert limiter.take("first", RATE) == 0
