"""Mint ids for one leased shard: never the same id twice, also over restarts and clock jumps.

The lease's store remembers, for each shard, the millisecond up to which ids may have been
issued. It is raised *before* an id of a later millisecond is issued, a few seconds ahead so
that it costs one write in that time. Who takes over a shard starts strictly after it; so
even a holder that was frozen meanwhile can only issue ids at or before it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from schemas.ids import SEQUENCES, SHARDS, PhotoId, compose_id
from schemas.times import rfc3339, utc_datetime


class ClockWentBack(Exception):
    """The clock is behind ids that were issued, by more than is worth waiting for."""

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
        # Otherwise a restart right after a reservation would not wait it out, but fail.
        if not 0 <= reserve_ahead_ms < backwards_wait_ms_max:
            raise ValueError(f"{reserve_ahead_ms=} must be below {backwards_wait_ms_max=}")
        self._shard = shard
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._reserve = reserve
        self._reserve_ahead_ms = reserve_ahead_ms
        self._wait_ms_max = backwards_wait_ms_max
        self._reserved_ms = last_ms
        # The millisecond of the last id, and its sequence. An earlier holder may have used
        # all of `last_ms`: that it is used up is the whole rule for starting after it.
        self._ms = last_ms
        self._sequence = SEQUENCES - 1
        # Between reading the clock and taking a sequence there are awaits (wait, reserve).
        self._turn = asyncio.Lock()

    async def mint(self) -> PhotoId:
        """The next id. Waits for the clock where it must; takes turns with other callers.

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
        """A millisecond, by the clock, in which this shard has a sequence left."""
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
