"""Bounds a process's reads of the database, fairly by user and by address."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.fairness import REQUESTER, FairSlots, Requester, Room, Shares


class TooManyReads(Exception):
    """This process has its maximum of database reads under way, and none of them ended in time."""


class DatabaseReads:
    """At most `in_flight_max` reads at once. A read waits for a slot for at most `wait_s`.

    A free slot goes to the waiting requester that holds the fewest slots. A requester that holds its
    share waits even if a slot is free, because the next requester needs it.
    """

    def __init__(self, in_flight_max: int, wait_s: float, shares: Shares) -> None:
        self._slots = FairSlots(in_flight_max, shares)
        self._wait_s = wait_s
        self._waiting: dict[Requester, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot.

        Raises:
            TooManyReads: No slot was free within `wait_s`.
        """
        requester = REQUESTER.get()
        if self._waiting or self._slots.take(requester) is not Room.FREE:
            await self._wait(requester)
        try:
            yield
        finally:
            self._slots.release(requester)
            self._serve()

    async def _wait(self, requester: Requester) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(requester, deque()).append(turn)
        self._serve()
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            # The turn may have come at the same moment as the cancellation.
            if turn.done() and not turn.cancelled():
                self._slots.release(requester)
            else:
                self._remove(requester, turn)
            self._serve()
            if isinstance(error, TimeoutError):
                raise TooManyReads from None
            raise

    def _serve(self) -> None:
        """Give the free slots to waiting requesters."""
        while allowed := [
            requester for requester in self._waiting if self._slots.room(requester) is Room.FREE
        ]:
            requester = min(allowed, key=self._slots.held)
            turn = self._waiting[requester][0]
            self._remove(requester, turn)
            # The read of a turn that is done was cancelled, and has not run since.
            if not turn.done():
                self._slots.take(requester)
                turn.set_result(None)

    def _remove(self, requester: Requester, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(requester, deque())
        if turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[requester]
