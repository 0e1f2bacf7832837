"""Joined reads: what several callers ask for while a read is under way is read together next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class JoinedReads(Generic[K, V]):
    """Calls `read` with the keys of all callers that wait; one call is under way at a time.

    Every result is of a read that began after its caller asked. So a caller waits for at most two reads,
    and its keys are read once, however many others ask for them meanwhile.
    """

    read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _keys: dict[K, None] = field(default_factory=dict, init=False)
    _next: "asyncio.Task[Mapping[K, V]] | None" = field(default=None, init=False)

    async def get(self, keys: Sequence[K]) -> Mapping[K, V]:
        """Return the values of at least these keys, as far as `read` returns them; raises what it raises."""
        self._keys.update(dict.fromkeys(keys))
        if self._next is None:
            self._next = asyncio.create_task(self._read_next(), name="joined read")
        # The read is also that of others, who still need it if this caller is cancelled.
        return await asyncio.shield(self._next)

    async def _read_next(self) -> Mapping[K, V]:
        async with self._turn:
            # Callers that ask from now on get the read after this one.
            keys, self._keys, self._next = list(self._keys), {}, None
            return await self.read(keys)
