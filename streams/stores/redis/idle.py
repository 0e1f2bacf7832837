"""Redis connections that notice, before they send, that the server or a proxy has closed them.

redis-py checks only what the event loop has read. It does not notice a connection that was reset,
or one whose end the event loop has not read yet. A command on such a connection would never be
executed and would fail, although a new connection could execute it.
"""

import select
from asyncio import StreamWriter

from redis.asyncio.connection import AbstractConnection

# POLLRDHUP reports that the other end has closed. Only Linux has it.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class _Checked(AbstractConnection):
    async def can_read(self) -> bool:
        """Return True if no command may be sent: the connection is closed, or has an old reply."""
        return _is_closed(self._writer) or await super().can_read()


def checked(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the class with this check, which the pool and the shared connection call."""
    return type(f"Checked{connection_class.__name__}", (_Checked, connection_class), {})


def _is_closed(writer: StreamWriter | None) -> bool:
    if writer is None or writer.is_closing():
        return True
    look = select.poll()
    look.register(writer.get_extra_info("socket"), _CLOSED)
    return bool(look.poll(0))
