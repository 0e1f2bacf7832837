"""A real server on the loopback, and clients that write bytes to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.body import BodyBounds
from api.http.gate import Bounds, Gate, Slots
from api.serve import bounded_protocol, make_server
from bench.traffic.waiting import eventually
from streams.fairness import FairSlots, Requester, Shares
from streams.settings import ConnectionSettings
from streams.turns import Turns

DEADLINE_S = 20.0


class App:
    """Returns the method, the path, the body's size and the headers as JSON.

    `/held` waits for `go`; `/unread` does not read the body.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.seen: list[str] = []
        self.disconnected = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope["path"])
        request = Request(scope, receive)
        try:
            body = b"" if scope["path"] == "/unread" else await request.body()
        except ClientDisconnect:
            self.disconnected += 1
            return
        if scope["path"] == "/held":
            await self.go.wait()
        size = int(request.query_params.get("size", 0))
        answer = {
            "method": scope["method"],
            "path": scope["path"],
            "body_bytes": len(body),
            "headers": [name.decode() for name, _ in scope["headers"]],
            "padding": "x" * size,
        }
        await Response(json.dumps(answer), media_type="application/json")(scope, receive, send)


class _Everybody:
    """An admission without rates."""

    async def admit(self, scope: Scope) -> Requester:
        return Requester(1)


def make_gate(app: ASGIApp, *, idle_s: float = 5.0, deadline_s: float = 1.0) -> Gate:
    """Return a gate with one slot, for bodies of at most 4 bytes, and of 10 for images."""

    def bounds(bytes_max: int) -> Bounds:
        return Bounds(deadline_s, BodyBounds(bytes_max, idle_s, bytes_per_s_min=1, slow_s_max=60))

    shares = Shares(user=0.25, address=1.0)
    return Gate(
        app,
        admission=_Everybody,
        usual=bounds(4),
        uploads=bounds(10),
        special={},
        slots=Slots(FairSlots(1, shares), FairSlots(1, shares), Turns(user_max=1, address_max=1)),
        retry_after_s_max=30,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it was read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write; nothing happens if the server has closed the connection."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def reply(self) -> Reply:
        """Read the next response."""
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(head[0].split()[1]), headers, body)

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def last_reply(self) -> Reply:
        """Read a response after which the server must close the connection."""
        reply = await self.reply()
        assert await self.rest() == b""
        return reply


@dataclass(slots=True)
class Wire:
    """The server's address, its application, its connections, and the tasks of their requests."""

    port: int
    app: App
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    _clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def sends(self, data: bytes) -> Client:
        """Return a new connection on which `data` was written."""
        client = await self.connect()
        await client.send(data)
        return client

    def queued(self) -> int:
        """How many requests wait for an earlier one on their connection."""
        return sum(len(connection.pipeline) for connection in self.connections)

    async def close(self) -> None:
        self.app.go.set()
        for client in self._clients:
            client.writer.transport.abort()
        await eventually("the connections to close", lambda: not self.connections)


@asynccontextmanager
async def serving(
    refused: Callable[[str, int, int], None] = lambda reason, status, size: None,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    **settings: object,
) -> AsyncIterator[Wire]:
    """Run the API's server with these bounds of connections until the block ends."""
    app = App()
    protocol = bounded_protocol(ConnectionSettings(**settings), refused)  # type: ignore[arg-type]  # As named there.
    server = make_server(around(app), "127.0.0.1", 0, protocol, deadline_s=1)
    task = asyncio.create_task(server.serve())
    await eventually("the server to listen", lambda: server.started)
    state = server.server_state
    wire = Wire(server.servers[0].sockets[0].getsockname()[1], app, state.connections, state.tasks)
    try:
        yield wire
        await wire.close()
    finally:
        server.stop()
        await task
