"""Which readers asked for their feeds in an hour."""

import pytest

from schemas.ids import UserId
from streams.errors import StoreUnavailable
from tests.worlds.api import World, make_world


async def recorded(world: World, hour: int) -> list[UserId]:
    await world.services.feed.readers.record()
    return await world.memory.active_readers.page(hour, None, 100)


async def test_readers_are_recorded_once_an_hour() -> None:
    """A second page in the same hour writes nothing; one in the next hour does."""
    world = await make_world()
    hour = world.clock.us() // 3_600_000_000
    await recorded(world, hour)  # The world was made in the hour before.
    calls: list[int] = []
    record = world.memory.active_readers.record

    async def counting(hour: int, readers: list[UserId]) -> None:
        calls.append(len(readers))
        await record(hour, readers)

    world.switches["active_readers"].record = counting  # type: ignore[attr-defined]  # Counts.
    for reader in (7, 8, 7):
        await world.page(reader)
    first = await recorded(world, hour)
    await world.page(8)
    await recorded(world, hour)
    await world.later(3_600)
    await recorded(world, hour)
    await world.page(8)

    assert first == [7, 8]
    assert await recorded(world, hour + 1) == [8]
    assert calls == [2, 0, 0, 1]


async def test_an_outage_delays_the_record() -> None:
    """The page does not notice, and the next call records the readers of both."""
    world = await make_world()
    hour = world.clock.us() // 3_600_000_000
    await world.page(7)
    world.switches["active_readers"].down = True
    with pytest.raises(StoreUnavailable):
        await recorded(world, hour)
    await world.page(8)
    world.switches["active_readers"].down = False

    assert await recorded(world, hour) == [7, 8]


async def test_a_full_log_forgets_whom_it_recorded() -> None:
    """Its size is bounded; a reader may then be recorded again."""
    world = await make_world()
    log = world.services.feed.readers
    log.readers_max = 2
    hour = world.clock.us() // 3_600_000_000
    for reader in (7, 8, 9):
        await world.page(reader)
    first = await recorded(world, hour)
    await world.page(9)

    assert (first, await recorded(world, hour)) == ([7, 8], [7, 8, 9])
