"""Pages of readers without a timeline: the page rebuilds it or waits for it, or the reader retries
later."""

import asyncio

from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from schemas.ids import UserId
from streams.core.feed import Completeness
from tests.worlds.api import World, make_world

READER = 1


async def test_a_missing_timeline_is_rebuilt_and_served_at_once() -> None:
    """The first page shows every photo and creates the timeline, also for a reader without any
    photos."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.post(10, 2)
    await world.later(120)

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([10], Completeness.COMPLETE)
    assert await world.stores.timelines.read(UserId(READER)) is not None
    assert (await world.page(99)).completeness is Completeness.COMPLETE
    assert await world.stores.timelines.read(UserId(99)) is not None


async def test_a_timeline_that_another_process_rebuilds_is_rebuilding() -> None:
    """The page has the pull lists and the photos that have arrived. It does not say that it is the
    last page."""
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
    """The rate of rebuilds is limited, so a crowd of readers without timelines waits and does not
    overload the database."""
    world = await make_world(rebuilds_per_s_max=1)
    await world.page(50)

    page = await world.page(51)

    assert (page.ids, page.below, page.completeness) == ([], None, Completeness.REBUILDING)


def limited() -> float:
    return REGISTRY.get_sample_value("shutterline_rebuilds_total", {"outcome": "limited"}) or 0.0


def hold_the_database(world: World) -> asyncio.Event:
    """Make the reads of rebuilds wait for the returned event."""
    may_read = asyncio.Event()
    newest = world.stores.author_photos.newest

    async def slow_newest(*args: object, **kwargs: object) -> object:
        # Only a rebuild reads so many photos of an author; a pull list reads fewer.
        if kwargs["each_max"] > 300:  # type: ignore[operator]
            await may_read.wait()
        return await newest(*args, **kwargs)  # type: ignore[arg-type]  # As they came.

    # The database is slow.
    world.switches["author_photos"].newest = slow_newest  # type: ignore[attr-defined]
    return may_read


async def test_a_slow_rebuild_continues_after_the_response() -> None:
    """The response is `rebuilding` within its deadline. The next request finds the finished
    timeline."""
    world = await make_world()
    world.limit(rebuild_wait_s=0.01)
    await world.post(10, READER)
    await world.later(120)
    may_read = hold_the_database(world)
    first = await world.page(READER)
    may_read.set()
    await eventually("the rebuild", lambda: not world.services.rebuilder.is_running(UserId(READER)))
    second = await world.page(READER)

    assert first.completeness is Completeness.REBUILDING
    assert (second.ids, second.completeness) == ([10], Completeness.COMPLETE)


async def test_while_rebuilds_are_full_only_readers_without_a_timeline_wait() -> None:
    """Such a request costs one read of the timeline, and no reads of the database or of lists. The
    page says when to retry."""
    world = await make_world(rebuilds_in_flight_max=1)
    await world.post(10, READER)
    await world.later(120)
    await world.page(READER)
    world.limit(rebuild_wait_s=0.01)
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


async def test_a_crowd_is_spread_while_rebuilds_are_full() -> None:
    """If all readers had the same Retry-After, all would return at once. A reader whose rebuild is
    running waits one second."""
    world = await make_world(rebuilds_in_flight_max=1)
    world.limit(rebuild_wait_s=0.01)
    may_read = hold_the_database(world)
    async with world.client(50) as first, world.client(51) as second:
        await first.get("/v1/feed")
        waiting = [await second.get("/v1/feed") for _ in range(8)]
        running = await first.get("/v1/feed")
    may_read.set()
    retry_after_s = [int(response.headers["retry-after"]) for response in waiting]

    assert {response.json()["completeness"] for response in (*waiting, running)} == {Completeness.REBUILDING}
    assert (retry_after_s[0], retry_after_s) == (1, sorted(retry_after_s))
    assert retry_after_s[-1] > 2
    assert running.headers["retry-after"] == "1"
