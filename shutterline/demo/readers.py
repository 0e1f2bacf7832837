"""The demo's readers: they read their feeds over HTTP, and measure how long that takes."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from time import perf_counter

from schemas.ids import UserId
from shutterline.client.feed import FeedClient, feed_path
from streams.errors import StoreUnavailable

PAGE_PHOTOS = 20
FIRST_READS_IN_FLIGHT = 8
READING_AT_ONCE = 20
THINK_S = 1.0


@dataclass(slots=True)
class Readers:
    """Those who read, and how long each of their reads took."""

    client: FeedClient
    users: Sequence[UserId]
    seed: int
    took_s: list[float] = field(default_factory=list, init=False)
    failed: int = field(default=0, init=False)

    async def read_first(self, advance: Callable[[int], None]) -> None:
        """Everybody reads once, until their timeline is there: this is what makes timelines exist."""
        slots = asyncio.Semaphore(FIRST_READS_IN_FLIGHT)

        async def read(user: UserId) -> None:
            async with slots:
                await self.client.settled(feed_path(PAGE_PHOTOS), user)
            advance(1)

        await asyncio.gather(*(read(user) for user in self.users))

    async def keep_reading(self) -> None:
        """Some of them at any time read, think, and make place for others; for ever."""
        async with asyncio.TaskGroup() as tasks:
            for seat in range(READING_AT_ONCE):
                tasks.create_task(self._keep_reading(random.Random(f"{self.seed}/{seat}")))

    async def _keep_reading(self, chosen: random.Random) -> None:
        while True:
            await asyncio.sleep(chosen.uniform(0, 2 * THINK_S))
            await self._read(chosen.choice(self.users))

    async def _read(self, user: UserId) -> None:
        began_s = perf_counter()
        try:
            await self.client.get(feed_path(PAGE_PHOTOS), user)
        except StoreUnavailable:
            self.failed += 1
        else:
            self.took_s.append(perf_counter() - began_s)

    def percentile_ms(self, percent: int) -> float | None:
        """Of all reads that were answered, in milliseconds; None before there are two."""
        if len(self.took_s) < 2:
            return None
        return quantiles(self.took_s, n=100)[percent - 1] * 1_000
