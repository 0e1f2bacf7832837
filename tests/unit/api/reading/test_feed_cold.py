"""Pages of readers without a timeline: it is rebuilt, waited for, or the reader retries later."""

import asyncio

from prometheus_client import REGISTRY

from schemas.ids import UserId
from streams.core.feed import Completeness
from tests.worlds.api import World, eventually, make_world

READER = 1


async def test_a_missing_timeline_is_rebuilt_and_served_at_once() -> None:
    """The first read has everything, and leaves a timeline behind, also for who has no photos."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.post(10, 2)
    await world.later(120)

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([10], Completeness.COMPLETE)
    assert await world.stores.timelines.read(UserId(READER)) is not None
    assert (await world.page(99)).completeness is Completeness.COMPLETE
    assert await world.stores.timelines.read(UserId(99)) is not None


async def test_a_timeline_that_another_rebuilds_says_so() -> None:
    """Pull lists and what has arrived are shown, the page says `rebuilding` and does not claim to end."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.follow(READER, 3)
    await world.post(10, 2)
    await world.post(11, 3)
    await world.pull(3)
    await world.later(120)
    await world.stores.timelines.begin_rebuild(UserId(READER), b"another!")
    await world.post(12, 2, followers=(READER,))

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([12, 11], Completeness.REBUILDING)
    assert page.below == 11


async def test_rebuilds_over_the_limit_say_rebuilding() -> None:
    """At most so many a second: a herd of cold readers waits, the database does not fall."""
    world = await make_world(rebuilds_per_s_max=1)
    await world.page(50)

    page = await world.page(51)

    assert (page.ids, page.below, page.completeness) == ([], None, Completeness.REBUILDING)


def limited() -> float:
    return REGISTRY.get_sample_value("shutterline_rebuilds_total", {"outcome": "limited"}) or 0.0


def hold_the_database(world: World) -> asyncio.Event:
    """What a rebuild reads waits for the event."""
    may_read = asyncio.Event()
    newest = world.stores.author_photos.newest

    async def slow_newest(*args: object, **kwargs: object) -> object:
        if kwargs["each_max"] > 300:  # type: ignore[operator]  # The rebuild's, not the pull list's.
            await may_read.wait()
        return await newest(*args, **kwargs)  # type: ignore[arg-type]  # As they came.

    world.switches["author_photos"].newest = slow_newest  # type: ignore[attr-defined]  # A slow database.
    return may_read


async def test_a_slow_rebuild_goes_on_after_the_answer() -> None:
    """The answer says `rebuilding` within its time; the next one finds the timeline."""
    world = await make_world(request_deadline_ms=20)
    await world.post(10, READER)
    await world.later(120)
    may_read = hold_the_database(world)
    first = await world.page(READER)
    may_read.set()
    await eventually(lambda: not world.services.rebuilder.is_running(UserId(READER)), "the rebuild")
    second = await world.page(READER)

    assert first.completeness is Completeness.REBUILDING
    assert (second.ids, second.completeness) == ([10], Completeness.COMPLETE)


async def test_behind_others_rebuilds_a_cold_reader_costs_nothing_and_a_warm_one_sees_all() -> None:
    """No database, no lists: one look at the timeline, and the page says when to retry."""
    world = await make_world(request_deadline_ms=20, rebuilds_in_flight_max=1)
    await world.post(10, READER)
    await world.later(120)
    await world.page(READER)
    may_read = hold_the_database(world)
    await world.page(50)
    world.fail("cassandra")
    before = limited()
    cold = await world.page(51)
    warm = await world.page(READER)
    may_read.set()

    assert (cold.ids, cold.below, cold.completeness) == ([], None, Completeness.REBUILDING)
    assert limited() == before + 1
    assert warm.ids == [10]
    assert await world.stores.timelines.read(UserId(51)) is None


async def test_a_crowd_behind_others_rebuilds_is_spread() -> None:
    """Told the same second, all would be back in it; who is being rebuilt comes in a second."""
    world = await make_world(request_deadline_ms=20, rebuilds_in_flight_max=1)
    may_read = hold_the_database(world)
    async with world.client(50) as first, world.client(51) as second:
        await first.get("/v1/feed")
        waiting = [await second.get("/v1/feed") for _ in range(8)]
        running = await first.get("/v1/feed")
    may_read.set()
    again_s = [int(each.headers["retry-after"]) for each in waiting]

    assert {each.json()["completeness"] for each in (*waiting, running)} == {Completeness.REBUILDING}
    assert (again_s[0], again_s) == (1, sorted(again_s))
    assert again_s[-1] > 2
    assert running.headers["retry-after"] == "1"
