"""What the tests of the pages below /ops share: a world with the monitor of the scene."""

import orjson

from streams.core.lag.report import Json
from tests.scenes.trouble import NOW_MS, overview
from tests.worlds.api import World, make_world

_SAID: list[bytes] = []  # By the monitor of the scene, which takes a second to simulate.


async def scene() -> Json:
    """Return what the monitor of the scene says."""
    if not _SAID:
        _SAID.append(orjson.dumps(await overview()))
    said: Json = orjson.loads(_SAID[0])
    return said


async def world_in_trouble(**settings: object) -> World:
    """The monitor of the world's API says what that of the scene does, at the same time."""
    world = await make_world(**{"ops_open": True, **settings})
    world.clock.ms = NOW_MS
    show(world, await scene())
    return world


def show(world: World, said: Json) -> None:
    """Let the monitor say this from now on."""
    world.monitor.overview = said
    world.monitor.report = orjson.dumps(said["lag"])
