"""Hand results from another thread to the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopHandover(Generic[T]):
    """Calls `receive` on the event loop for every item that any thread puts, in order.

    The loop is woken only once for a burst of items, because waking the loop costs more than
    receiving an item. Create the handover in the thread of the loop.
    """

    def __init__(self, receive: Callable[[T], None]) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._is_waking = False

    def put(self, item: T) -> None:
        """Hand over an item, from any thread. Does nothing after the loop has closed."""
        # `_is_waking` is True while a `_drain` is scheduled. `put` appends the item, then reads
        # `_is_waking`; `_drain` clears `_is_waking`, then reads the items. So if `put` finds it
        # set, the scheduled `_drain` has not read the items yet and receives this one.
        self._items.append(item)
        if not self._is_waking and not self._loop.is_closed():
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._is_waking = False
        while self._items:
            self._receive(self._items.popleft())
