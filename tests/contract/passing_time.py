"""Time in the suites: the twins' clock is moved by hand, the servers' clock runs by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Protocol

DEADLINE_S = 30
TICK_MS = 50


class PassingTime(Protocol):
    """A clock, and a way to wait for a condition."""

    def now_ms(self) -> int:
        """Return the stores' time in milliseconds since 1970."""

    async def until(self, condition: Callable[[], Awaitable[bool]], awaited: str) -> None:
        """Let time pass until the condition holds; after 30 s, fail and say what was awaited."""


class HandMovedTime:
    """The twins' clock; waiting takes no real time."""

    def __init__(self) -> None:
        self._now_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self._now_ms

    async def until(self, condition: Callable[[], Awaitable[bool]], awaited: str) -> None:
        deadline_ms = self._now_ms + DEADLINE_S * 1_000
        while not await condition():
            self._now_ms += TICK_MS
            if self._now_ms > deadline_ms:
                raise AssertionError(f"{awaited}: not after {DEADLINE_S} s")


class RealTime:
    """The servers' clock, which is the clock of this machine."""

    def now_ms(self) -> int:
        return int(time() * 1_000)

    async def until(self, condition: Callable[[], Awaitable[bool]], awaited: str) -> None:
        deadline_s = monotonic() + DEADLINE_S
        while not await condition():
            if monotonic() > deadline_s:
                raise AssertionError(f"{awaited}: not after {DEADLINE_S} s")
            await asyncio.sleep(TICK_MS / 1_000)
