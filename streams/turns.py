"""Turns: how many requests of one user, and of one address, run at the same time.

One event loop serves all requests of a process. Each request that runs adds its pieces of CPU to the time
of all others, so a user who sends many at once would be as many competitors.

`streams/stores/cache/large_reads.py` also has turns and rests, by other rules. There one read of a key runs,
and the key rests from its end on, also before a read that comes alone, because each read costs the
database. Here several requests run, and who comes alone never rests, because then nobody competes.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from weakref import WeakValueDictionary

from streams.fairness import Requester

# A request that had to wait rests this many times as long as the last one took. So who always has more to
# ask takes at most a quarter of the time of each turn.
REST_RATIO = 3
# A request may be slow because a store is, and then a rest helps nobody.
REST_S_MAX = 0.05


class Turns:
    """At most `user_max` requests of a user and `address_max` of an address run; the others wait in order.

    Those without a valid token have the turns of their address only. The caller bounds how many wait.
    """

    def __init__(self, *, user_max: int, address_max: int) -> None:
        self._user_max = user_max
        self._address_max = address_max
        # Forgotten as soon as nobody has or waits for a turn.
        self._queues: WeakValueDictionary[Hashable, _Queue] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, requester: Requester) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        # The user's turn comes first. So a user has at most `user_max` requests in the queue of an address,
        # and the other users of the address soon have their turns.
        async with (
            self._turn("user", requester.user, self._user_max),
            self._turn("address", requester.address, self._address_max),
        ):
            yield

    def _turn(
        self, kind: str, requester: int | str | None, at_once: int
    ) -> AbstractAsyncContextManager[None]:
        if requester is None:
            return nullcontext()
        return self._queues.setdefault((kind, requester), _Queue(at_once)).turn()


class _Queue:
    """The turns of one user or one address."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._took_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        waits = self._free.locked()
        async with self._free:
            if waits:
                await asyncio.sleep(min(REST_RATIO * self._took_s, REST_S_MAX))
            began_s = loop.time()
            try:
                yield
            finally:
                self._took_s = loop.time() - began_s
