"""Joined reads: what several callers ask for while a read is under way is read together next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from streams.fairness import NOBODY, REQUESTER, Requester

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Read(Generic[K, V]):
    """One read: what it will be asked for, by whom, and how many callers still wait for it."""

    keys: dict[K, None] = field(default_factory=dict)
    requesters: set[Requester] = field(default_factory=set)
    waiting: int = 0
    task: "asyncio.Task[Mapping[K, V]] | None" = None


@dataclass(slots=True, weakref_slot=True)
class JoinedReads(Generic[K, V]):
    """Calls `read` with the keys of all callers that wait; one call is under way at a time.

    Every result is of a read that began after its caller asked. So what was written before that is in it.
    A caller waits for at most two reads, and its keys are read once, however many others ask meanwhile.

    A read of several requesters is nobody's: it does not wait because one of them holds its share of the
    database's slots. With `for_all` each read is, because others wait for its end, too.
    A read for which no caller waits any more is cancelled.
    """

    read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    for_all: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _next: "_Read[K, V] | None" = field(default=None, init=False)

    async def get(self, keys: Sequence[K]) -> Mapping[K, V]:
        """Return the values of at least these keys, as far as `read` returns them; raises what it raises."""
        read = self._next
        if read is None or read.task is None:
            read = self._next = _Read()
            read.task = asyncio.create_task(self._run(read), name="joined read")
        read.keys.update(dict.fromkeys(keys))
        read.requesters.add(REQUESTER.get())
        read.waiting += 1
        try:
            # The read is also that of others, who still need it if this caller is cancelled.
            return await asyncio.shield(read.task)
        finally:
            read.waiting -= 1
            if not read.waiting and not read.task.done():
                read.task.cancel()
                if self._next is read:
                    self._next = None

    async def _run(self, read: _Read[K, V]) -> Mapping[K, V]:
        async with self._turn:
            # Callers that ask from now on get the read after this one.
            self._next = None
            if self.for_all or len(read.requesters) > 1:
                REQUESTER.set(NOBODY)  # In this task alone.
            return await self.read(list(read.keys))
