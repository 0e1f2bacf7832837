"""Mint ids for one leased shard: never the same id twice, also over restarts and clock jumps.

The lease's store remembers, for each shard, the reserved millisecond: ids up to it may have
been issued. The minter raises the reserved millisecond *before* it issues an id of a later one,
and raises it a few seconds ahead, so that it writes only once in that time. The next holder of
the shard starts strictly after the reserved millisecond. An earlier holder that was frozen
meanwhile can only issue ids at or before it, so the two never issue the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable

from schemas.ids import SEQUENCES, SHARDS, PhotoId, compose_id
from schemas.times import rfc3339, utc_datetime


class ClockWentBack(Exception):
    """The clock is behind the last id that may have been issued, by more than the minter waits."""

    def __init__(self, shard: int, now_ms: int, issued_ms: int, wait_ms_max: int) -> None:
        super().__init__(
            f"shard {shard}: the clock says {_at(now_ms)}, but ids up to {_at(issued_ms)} may have been "
            f"issued, more than {wait_ms_max} ms of waiting; check the time synchronisation of this host"
        )
        self.now_ms = now_ms
        self.issued_ms = issued_ms


class IdMinter:
    """Mints the ids of one shard, in strictly increasing order.

    `last_ms` is the last millisecond of which an earlier holder of the shard may have issued
    ids. `reserve(unix_ms)` must persist that ids up to and including that millisecond may be
    issued, and raise if the lease is no longer held. One minter may be used by many tasks of
    one event loop.
    """

    def __init__(
        self,
        shard: int,
        *,
        clock_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        reserve: Callable[[int], Awaitable[None]],
        last_ms: int,
        reserve_ahead_ms: int = 3_000,
        backwards_wait_ms_max: int = 5_000,
    ) -> None:
        if not 0 <= shard < SHARDS:
            raise ValueError(f"shard is {shard}, but must be 0 to {SHARDS - 1}")
        # Otherwise a minter that starts right after a reservation would raise ClockWentBack,
        # instead of waiting until the reserved milliseconds have passed.
        if not 0 <= reserve_ahead_ms < backwards_wait_ms_max:
            raise ValueError(f"{reserve_ahead_ms=} must be below {backwards_wait_ms_max=}")
        self._shard = shard
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._reserve = reserve
        self._reserve_ahead_ms = reserve_ahead_ms
        self._wait_ms_max = backwards_wait_ms_max
        self._reserved_ms = last_ms
        # The millisecond and the sequence of the last id. An earlier holder may have used every
        # sequence of `last_ms`, so it counts as used up: minting starts in a later millisecond.
        self._ms = last_ms
        self._sequence = SEQUENCES - 1
        # A call awaits (sleep, reserve) between reading the clock and taking a sequence. Without
        # the lock, calls that overlap could issue the same id.
        self._turn = asyncio.Lock()

    async def mint(self) -> PhotoId:
        """Return the next id. Waits for earlier calls, and until the clock has reached the last id.

        Raises:
            ClockWentBack: The clock is, or stays, too far behind the last id. Nothing was
                issued; a later call succeeds once the clock has caught up.
            Exception: Whatever `reserve` raised; nothing was issued.
        """
        async with self._turn:
            unix_ms = await self._wait_for_room()
            if unix_ms > self._reserved_ms:
                ahead_ms = unix_ms + self._reserve_ahead_ms
                await self._reserve(ahead_ms)
                self._reserved_ms = ahead_ms
            self._sequence = self._sequence + 1 if unix_ms == self._ms else 0
            self._ms = unix_ms
            return PhotoId(compose_id(unix_ms, self._shard, self._sequence))

    async def _wait_for_room(self) -> int:
        """Wait until this shard has a sequence left in the clock's millisecond, and return that."""
        waited_ms = 0
        while True:
            now_ms = self._clock_ms()
            earliest_ms = self._ms + 1 if self._sequence == SEQUENCES - 1 else self._ms
            if now_ms >= earliest_ms:
                return now_ms
            wait_ms = earliest_ms - now_ms
            if waited_ms + wait_ms > self._wait_ms_max:
                raise ClockWentBack(self._shard, now_ms, self._ms, self._wait_ms_max)
            await self._sleep(wait_ms / 1_000)
            waited_ms += wait_ms


def _at(unix_ms: int) -> str:
    return rfc3339(utc_datetime(unix_ms * 1_000))
