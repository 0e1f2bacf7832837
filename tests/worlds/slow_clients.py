"""Clients whose bodies arrive slowly or never end."""

import asyncio
from dataclasses import dataclass, field

from starlette.types import Message

from tests.worlds.api import World


@dataclass(slots=True)
class SlowPost:
    """A request whose body stops after `first`, until it is told to disconnect."""

    world: World
    headers: dict[str, str]
    first: bytes = b"1"
    method: str = "POST"
    path: str = "/v1/photos"
    address: str = "192.0.2.1"
    status: int | None = None
    sent: dict[str, str] = field(default_factory=dict)
    received: int = 0
    disconnects: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.headers.items()],
            "client": (self.address, 1),
            "server": ("api.test", 80),
        }
        await self.world.app(scope, self._receive, self._send)
        self.ended.set()

    async def _receive(self) -> Message:
        self.received += 1
        if self.received == 1:
            return {"type": "http.request", "body": self.first, "more_body": True}
        await self.disconnects.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.sent = {name.decode(): value.decode() for name, value in message["headers"]}


async def start(posts: list[SlowPost]) -> list["asyncio.Task[None]"]:
    """Send the requests, and let each get as far as it can."""
    tasks = [asyncio.create_task(post.run()) for post in posts]
    for _ in range(50):
        await asyncio.sleep(0)
    return tasks


async def disconnect(posts: list[SlowPost], tasks: list["asyncio.Task[None]"]) -> None:
    for post in posts:
        post.disconnects.set()
    await asyncio.gather(*tasks)
