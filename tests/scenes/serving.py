"""The API in memory on a real port, with the monitor of a scene."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import uvicorn

from bench.traffic.waiting import eventually
from infra.local import ports
from streams.core.lag.report import Json
from tests.worlds.api import World, make_world


@dataclass(frozen=True, slots=True)
class Served:
    """The world, and the address of its API."""

    world: World
    address: str

    def show(self, overview: Json) -> None:
        """Let the monitor say this from now on."""
        self.world.monitor.overview = overview
        self.world.monitor.report = orjson.dumps(overview["lag"])


@asynccontextmanager
async def served(overview: Json, **settings: object) -> AsyncIterator[Served]:
    """Serve until the block ends; everybody may read the pages."""
    world = await make_world(ops_open=True, **settings)
    port = ports.unused(())
    config = uvicorn.Config(
        world.app, host="127.0.0.1", port=port, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    try:
        await eventually("the server listens", lambda: server.started)
        found = Served(world, f"http://127.0.0.1:{port}")
        found.show(overview)
        yield found
    finally:
        world.ops.streams.close()
        server.should_exit = True
        await serving
