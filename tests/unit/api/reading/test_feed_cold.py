"""Pages of readers without a timeline: the page rebuilds it or waits for it, or the reader retries
later."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from schemas.ids import UserId
from streams.core import ring
from streams.core.feed import Completeness, Source
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
    rebuilder = world.services.rebuilder
    known_of = rebuilder.known_of

    async def slow_known_of(authors: Sequence[UserId]) -> Mapping[UserId, Source]:
        await may_read.wait()
        return await known_of(authors)

    rebuilder.known_of = slow_known_of
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


async def test_a_crowd_of_followers_reads_each_author_once() -> None:
    """Readers who rebuild at the same time read the lists of their authors together; later ones find them
    cached."""
    world = await make_world(rebuilds_in_flight_max=64)
    readers = range(100, 120)
    for reader in readers:
        for author in (2, 3, 4):
            await world.follow(reader, author)
    for photo, author in ((10, 2), (11, 3), (12, 4)):
        await world.post(photo, author)
    await world.later(120)
    newest = world.stores.author_photos.newest
    read: Counter[UserId] = Counter()

    async def counting(authors: Sequence[UserId], **limits: int) -> object:
        read.update(authors)
        return await newest(authors, **limits)

    world.switches["author_photos"].newest = counting  # type: ignore[attr-defined]  # Counts.
    pages = await asyncio.gather(*(world.page(reader) for reader in readers))
    later = await world.page(2)

    assert {(*page.ids, page.completeness) for page in pages} == {(12, 11, 10, Completeness.COMPLETE)}
    assert later.ids == [10]
    assert {author: read[UserId(author)] for author in (2, 3, 4)} == {2: 1, 3: 1, 4: 1}


async def test_a_cached_list_brings_no_deleted_photo_back() -> None:
    """Law: no ghost. A list that was cached before a delete is not used after it, and a list that was read
    before the delete but cached later is not cached."""
    world = await make_world()
    for reader in (READER, 3):
        await world.follow(reader, 2)
    await world.post(10, 2)
    await world.post(11, 2)
    await world.later(120)
    await world.page(READER)  # Caches the list.
    await world.delete(11, 2)

    page = await world.page(3)

    value = await world.stores.timelines.read(UserId(3))
    assert value is not None
    assert (page.ids, page.completeness) == ([10], Completeness.COMPLETE)
    assert ring.parse(value).ids == {10}


@pytest.mark.law("L5")
async def test_a_photo_whose_append_found_no_timeline_is_in_the_list() -> None:
    """Law: a rebuild loses nothing that arrives meanwhile, also if the author's list was cached before."""
    world = await make_world()
    for reader in (READER, 3):
        await world.follow(reader, 2)
    await world.post(10, 2)
    await world.later(120)
    await world.page(READER)  # Caches the list.
    await world.post(11, 2, followers=(3,))  # The append finds no timeline.

    page = await world.page(3)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.COMPLETE)
