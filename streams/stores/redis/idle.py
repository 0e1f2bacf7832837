"""Connections to Redis that notice, before a command is sent, that the server or a proxy has closed them.

redis-py looks at what the event loop has read. It misses a connection that was reset, and one whose end
the loop has not read yet. A command on such a connection would fail, although it was never executed.
"""

import select
from asyncio import StreamWriter

from redis.asyncio.connection import AbstractConnection

# Linux reports with this flag that the other end has closed; elsewhere only what the loop has read counts.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class _Checked(AbstractConnection):
    async def can_read(self) -> bool:
        """Return whether the connection must not carry a command: it is closed, or has an old reply."""
        return _is_closed(self._writer) or await super().can_read()


def checked(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the class with the check; both the pool and the shared connection ask it before they send."""
    return type(f"Checked{connection_class.__name__}", (_Checked, connection_class), {})


def _is_closed(writer: StreamWriter | None) -> bool:
    if writer is None or writer.is_closing():
        return True
    look = select.poll()
    look.register(writer.get_extra_info("socket"), _CLOSED)
    return bool(look.poll(0))
