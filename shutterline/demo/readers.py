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
from streams.gathering import gather_bounded

PAGE_PHOTOS = 20
FIRST_READS_IN_FLIGHT = 8
READING_AT_ONCE = 20
THINK_S = 1.0


@dataclass(slots=True)
class Readers:
    """The users who read, and how long each of their reads took."""

    client: FeedClient
    users: Sequence[UserId]
    seed: int
    took_s: list[float] = field(default_factory=list, init=False)
    failed: int = field(default=0, init=False)

    async def read_first(self, advance: Callable[[int], None]) -> None:
        """Everybody reads once until the page is complete. The first read builds a user's timeline."""

        async def read(user: UserId) -> None:
            await self.client.settled(feed_path(PAGE_PHOTOS), user)
            advance(1)

        await gather_bounded(self.users, read, at_once=FIRST_READS_IN_FLIGHT)

    async def keep_reading(self) -> None:
        """`READING_AT_ONCE` readers at a time read a page, pause, and let others read; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(READING_AT_ONCE):
                tasks.create_task(self._keep_reading(random.Random(f"{self.seed}/{number}")))

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
        """A percentile of the successful reads in milliseconds; None before there are two."""
        if len(self.took_s) < 2:
            return None
        return quantiles(self.took_s, n=100)[percent - 1] * 1_000
