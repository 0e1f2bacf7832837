"""Record which commands something sends to Redis, with MONITOR."""

import asyncio
import codecs
import re
from collections.abc import Awaitable, Callable

from hiredis import pack_command

_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_BEGIN, _END = b"floor-begin", b"floor-end"


async def calls_of(host: str, port: int, work: Callable[[], Awaitable[object]]) -> list[bytes]:
    """The packed commands that reach Redis during `work`, those inside scripts left out."""
    reader, writer = await asyncio.open_connection(host, port)
    marker_reader, marker = await asyncio.open_connection(host, port)

    async def mark(name: bytes) -> None:
        marker.write(_packed(b"ECHO", name))
        await marker_reader.readline()
        await marker_reader.readline()

    writer.write(_packed(b"MONITOR"))
    await reader.readline()
    await mark(_BEGIN)
    await work()
    await mark(_END)
    calls: list[bytes] = []
    begun = False
    while True:
        line = await reader.readline()
        arguments = tuple(codecs.escape_decode(found)[0] for found in _ARGUMENT.findall(line))
        if arguments[-1:] == (_END,):
            break
        if begun and b" lua]" not in line.split(b'"', 1)[0]:
            calls.append(_packed(*arguments))
        begun = begun or arguments[-1:] == (_BEGIN,)
    writer.close()
    marker.close()
    return calls


def _packed(*command: bytes) -> bytes:
    return bytes(pack_command(command))  # type: ignore[arg-type]  # hiredis types a tuple of one.
