"""The least that a warm page costs: a raw ASGI app with the same calls of Redis and the same bytes.

Run by uvicorn. FLOOR_REDIS is host:port, FLOOR_CALLS a file of packed commands, one request's, FLOOR_REPLIES
how many they are, FLOOR_BODY a file with the page.
"""

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Any

from hiredis import Reader

CALLS = Path(os.environ["FLOOR_CALLS"]).read_bytes()
REPLIES = int(os.environ["FLOOR_REPLIES"])
BODY = Path(os.environ["FLOOR_BODY"]).read_bytes()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


class _Redis(asyncio.Protocol):
    """One connection for all requests; replies come in the order of the requests."""

    def __init__(self) -> None:
        self._replies = Reader()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = REPLIES
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._replies.feed(data)
        while self._replies.gets() is not False:
            self._left -= 1
            if not self._left:
                self._left = REPLIES
                self._waiting.popleft().set_result(None)

    async def ask(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._transport.write(CALLS)
        await future


_connecting: list[asyncio.Task[_Redis]] = []


async def _connect() -> _Redis:
    host, port = os.environ["FLOOR_REDIS"].split(":")
    _, redis = await asyncio.get_running_loop().create_connection(_Redis, host, int(port))
    return redis


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with the page."""
    if not _connecting:
        _connecting.append(asyncio.create_task(_connect()))
    redis = await _connecting[0]
    await redis.ask()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
