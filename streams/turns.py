"""Turns: how many requests of one user, and of one address, run at the same time.

One event loop serves all requests of a process. Each request that runs adds its pieces of CPU to the time
of all others, so a user who sends many at once would be as many competitors.

`streams/stores/cache/large_reads.py` also has turns and rests, by other rules. There one read of a key runs,
and the key rests from its end on, also before a read that comes alone, because each read costs the
database. Here several requests run, and who comes alone never rests, because then nobody competes.
"""

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
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

    def turn(self, requester: Requester) -> AbstractAsyncContextManager[None]:
        """Wait for a turn and hold it."""
        # The user's turn comes first. So a user has at most `user_max` requests in the queue of an address,
        # and the other users of the address soon have their turns.
        queues = []
        if requester.user is not None:
            queues.append(self._queue(("user", requester.user), self._user_max))
        if requester.address is not None:
            queues.append(self._queue(("address", requester.address), self._address_max))
        return _Turn(queues)

    def _queue(self, name: Hashable, at_once: int) -> "_Queue":
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(at_once)
        return queue


class _Turn(AbstractAsyncContextManager[None]):
    """One request's turn in each of its queues."""

    def __init__(self, queues: Sequence["_Queue"]) -> None:
        self._queues = queues
        self._began_s: list[float] = []

    async def __aenter__(self) -> None:
        try:
            for queue in self._queues:
                self._began_s.append(await queue.begin())
        except BaseException:
            self._end()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for queue, began_s in zip(self._queues, self._began_s, strict=False):
            queue.end(began_s)


class _Queue:
    """The turns of one user or one address."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._took_s = 0.0

    async def begin(self) -> float:
        """Wait for a turn; returns when it began, which `end` takes."""
        waits = self._free.locked()
        await self._free.acquire()
        if waits:
            try:
                await asyncio.sleep(min(REST_RATIO * self._took_s, REST_S_MAX))
            except BaseException:
                self._free.release()
                raise
        return monotonic()

    def end(self, began_s: float) -> None:
        self._took_s = monotonic() - began_s
        self._free.release()
