"""Time as the suites see it: the twins' is moved by hand, the servers' passes by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Protocol

DEADLINE_S = 30
TICK_MS = 50


class PassingTime(Protocol):
    """A clock, and a way to wait for what it brings about."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, as the stores see it."""

    async def until(self, condition: Callable[[], Awaitable[bool]], awaited: str) -> None:
        """Let time pass until the condition holds; fails with what was awaited after 30 s."""


class HandMovedTime:
    """The twins' clock; nothing waits."""

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
    """The servers' clock, which is this machine's."""

    def now_ms(self) -> int:
        return int(time() * 1_000)

    async def until(self, condition: Callable[[], Awaitable[bool]], awaited: str) -> None:
        deadline_s = monotonic() + DEADLINE_S
        while not await condition():
            if monotonic() > deadline_s:
                raise AssertionError(f"{awaited}: not after {DEADLINE_S} s")
            await asyncio.sleep(TICK_MS / 1_000)
