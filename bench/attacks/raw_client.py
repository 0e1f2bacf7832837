"""Write requests as prepared bytes, so that an attacker of hundreds of requests a second costs little CPU."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

AGAIN_S = 0.1  # After a connection that was refused or closed.
OPENED_APART_S = 0.001
READ_BYTES = 65_536

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Target:
    """The address of the API, and the tokens of users."""

    host: str
    port: int
    tokens: dict[int, str]

    def request(
        self, method: str, path: str, user: int | None, *headers: str, token: str = "", body: bytes = b""
    ) -> bytes:
        """Return a request of the user, or with any other `token`."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if user is not None or token:
            lines.append(f"Authorization: Bearer {token or self.tokens[user or 0]}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    @asynccontextmanager
    async def connection(self, address: str) -> AsyncIterator[Connection]:
        """Connect from a loopback address. An end of the connection ends the context without an error."""
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(self.host, self.port, local_addr=(address, 0))
            try:
                yield reader, writer
            finally:
                writer.transport.abort()


async def response(reader: asyncio.StreamReader) -> None:
    """Read one response."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or b"0"))


async def hold(
    target: Target, address: str, connections: int, use: Callable[[Connection], Awaitable[None]]
) -> None:
    """Keep so many connections in use; each is opened again when `use` returns or the API closes it."""

    async def one(number: int) -> None:
        await asyncio.sleep(number * OPENED_APART_S)
        while True:
            async with target.connection(address) as connection:
                await use(connection)
            await asyncio.sleep(AGAIN_S)

    await asyncio.gather(*(one(number) for number in range(connections)))


async def until_closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(READ_BYTES):
        pass


async def flood(
    target: Target, requests: Iterator[bytes], *, connections: int, per_s: float, addresses: list[str]
) -> None:
    """Send the requests in turn on many connections, each when its response to the last one has come."""
    pause_s = connections / per_s

    async def one(number: int) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + pause_s * number / connections
        while True:
            async with target.connection(addresses[number % len(addresses)]) as (reader, writer):
                while True:
                    await asyncio.sleep(due_s - loop.time())
                    due_s = max(due_s + pause_s, loop.time())
                    writer.write(next(requests))
                    await response(reader)
            await asyncio.sleep(AGAIN_S)

    await asyncio.gather(*(one(number) for number in range(connections)))
