"""Decide at once whether a request is within its rate; the rates are shared with other processes.

Each process has a token bucket of its own for each user and address, and decides by it alone, so a
request never waits for Redis. What was spent is reported to the shared bucket in batches, a tenth of
a burst at a time, and the reply lowers the process's own bucket to what is left for all processes.

So a user of P processes gets at most P batches more than one burst. These become a debt, so the
long-run rate is the same with any number of processes. If Redis is unavailable, each process limits
by its own bucket.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from cachetools import LRUCache

from streams.core.limits.rates import Rate, TokenBucket
from streams.errors import StoreUnavailable
from streams.metrics import LIMITS_UNSHARED
from streams.ports.rates import SharedRates

# A tenth: at 500 requests of burst, one call of Redis for 50 requests.
BATCHES_PER_BURST = 10


class _Spender:
    """One user or address: its bucket in this process, and what is not reported yet."""

    __slots__ = ("bucket", "is_reporting", "last_s", "rate", "unreported")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self.rate = rate
        self.bucket = TokenBucket(rate, now_s)
        self.last_s = now_s
        self.unreported = 0
        self.is_reporting = False

    @property
    def batch(self) -> int:
        return max(1, self.rate.burst // BATCHES_PER_BURST)


class RateLimiter:
    """Token buckets by name, at most `buckets_max`; those that were not used for longest are dropped."""

    def __init__(
        self, shared: SharedRates, *, buckets_max: int, clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._shared = shared
        self._clock_s = clock_s
        self._spenders: LRUCache[str, _Spender] = LRUCache(buckets_max)
        self._reports: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks only weakly.

    def wait_s(self, name: str, rate: Rate) -> float:
        """Return the seconds until the bucket has a token; 0 if it has one."""
        return self._spender(name, rate).bucket.wait_s(self._clock_s())

    def take(self, name: str, rate: Rate) -> float:
        """Spend one token. Returns 0, or the seconds to wait if there is none; then none is spent."""
        spender = self._spender(name, rate)
        wait_s = spender.bucket.wait_s(self._clock_s())
        if not wait_s:
            self._spend(name, spender, 1)
        return wait_s

    def charge(self, name: str, rate: Rate, tokens: int) -> None:
        """Spend tokens, even if fewer are left."""
        self._spend(name, self._spender(name, rate), tokens)

    def _spender(self, name: str, rate: Rate) -> _Spender:
        now_s = self._clock_s()
        spender = self._spenders.get(name)
        if spender is None or now_s - spender.last_s >= rate.forgiven_s:
            # After this time the shared bucket is full whatever was not reported.
            spender = self._spenders[name] = _Spender(rate, now_s)
        return spender

    def _spend(self, name: str, spender: _Spender, tokens: int) -> None:
        spender.last_s = self._clock_s()
        spender.bucket.spend(tokens, spender.last_s)
        spender.unreported += tokens
        if spender.unreported >= spender.batch and not spender.is_reporting:
            spender.is_reporting = True
            report = asyncio.create_task(self._report(name, spender), name="report a rate")
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

    async def _report(self, name: str, spender: _Spender) -> None:
        try:
            while spender.unreported >= spender.batch:
                tokens, spender.unreported = spender.unreported, 0
                left = await self._shared.spend(name, tokens, spender.rate)
                spender.bucket.lower_to(left - spender.unreported, self._clock_s())
        except StoreUnavailable:
            # The process's own bucket decides until the next report.
            LIMITS_UNSHARED.labels("rate").inc()
        finally:
            spender.is_reporting = False
