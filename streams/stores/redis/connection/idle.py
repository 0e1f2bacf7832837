"""Redis connections that notice, before they send, that the server or a proxy has closed them.

redis-py checks only what the event loop has read. It does not notice a connection that was reset,
or one whose end the event loop has not read yet. A command on such a connection would never be
executed and would fail, although a new connection could execute it.

Nothing tells that a peer has vanished without closing: a command waits in vain. So once that has happened
to one connection, all that were made before are replaced before they are used again.
"""

import select
from asyncio import StreamWriter, Transport
from collections.abc import Callable
from time import monotonic
from typing import cast
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection

# POLLRDHUP reports that the other end has closed. Only Linux has it.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


# Under load a reply can be late without a dead connection. Then no more than all are replaced a second.
SUSPECT_EVERY_S = 1.0


class Suspicion:
    """The time before which every connection is suspected to be dead. `clock_s` is monotonic."""

    def __init__(self, clock_s: Callable[[], float] = monotonic) -> None:
        self._clock_s = clock_s
        self._since_s = float("-inf")
        self._connected_s: WeakKeyDictionary[AbstractConnection, float] = WeakKeyDictionary()

    def connected(self, connection: AbstractConnection) -> None:
        """A new connection works."""
        self._connected_s[connection] = self._clock_s()

    def suspect_all(self) -> None:
        """A command got no reply."""
        now_s = self._clock_s()
        if now_s - self._since_s >= SUSPECT_EVERY_S:
            self._since_s = now_s

    def suspects(self, connection: AbstractConnection) -> bool:
        """Return whether the connection was made before a command got no reply."""
        return self._connected_s.get(connection, float("inf")) <= self._since_s


class Checked(AbstractConnection):
    """A connection that says when it must not be used any more; made by the class that `checked` returns."""

    suspicion: Suspicion

    async def can_read(self) -> bool:
        """Return True if no command may be sent: the connection is closed, or has an old reply."""
        if self.suspicion.suspects(self):
            # A peer that has vanished does not take part in closing either.
            await self.disconnect(nowait=True)
            return True
        return _is_closed(self._writer) or await super().can_read()

    def has_ended(self) -> bool:
        """Return whether the connection is closed or suspected to be dead; reads nothing."""
        return self.suspicion.suspects(self) or _is_closed(self._writer)

    def transport(self) -> Transport:
        """Return the transport of a connection that is connected."""
        assert self._writer is not None
        return cast(Transport, self._writer.transport)


def checked(connection_class: type[AbstractConnection], suspicion: Suspicion) -> type[AbstractConnection]:
    """Return the class with this check, which the pool and the shared connection call."""
    return type(f"Checked{connection_class.__name__}", (Checked, connection_class), {"suspicion": suspicion})


def _is_closed(writer: StreamWriter | None) -> bool:
    if writer is None or writer.is_closing():
        return True
    look = select.poll()
    look.register(writer.get_extra_info("socket"), _CLOSED)
    return bool(look.poll(0))
