"""Cached pages: what they show while a store is down or behind, and after a write."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from api.http.inputs import PageQuery
from api.routes.feed import feed_page
from schemas.events import Event, EventType
from schemas.facts import PhotoLiked, PhotoUnliked
from schemas.ids import PhotoId, UserId
from schemas.internal import EdgeRecord
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.core.feed import Completeness
from streams.edges.changed import likes_changed
from streams.stores.cache.database_reads import TooManyReads
from streams.stores.cache.keys import following_key, likes_key, pull_list_key
from tests.worlds.api import World, make_world

READER = 1
# Small, so that every page crosses the boundaries between the sources.
SMALL = {"timeline_ids": 5, "timeline_slots": 16, "pull_list_ids_max": 3, "feed_window_ids": 4}


async def _warm(**overrides: object) -> World:
    """A world whose reader has just read a page of two authors, one of them pulled."""
    world = await make_world(**overrides)
    await world.follow(READER, 2)
    await world.follow(READER, 3)
    await world.post(10, 2)
    await world.post(11, 3)
    await world.pull(3)
    await world.later(120)
    await world.page(READER)
    await world.page(READER)
    return world


async def test_without_the_database_a_cached_page_is_stale() -> None:
    """The cache has every photo of the page; only the caller's likes are unknown."""
    world = await _warm()
    await world.stores.cache.invalidate([likes_key(READER, era_of(10))])
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.STALE)


async def test_without_the_database_a_page_that_lacks_a_row_is_partial() -> None:
    """A photo whose row is unknown is left out, and the page says that something is missing."""
    world = await _warm()
    await world.post(12, 2, followers=(READER,))
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.PARTIAL)


async def test_without_the_database_a_page_that_lacks_a_count_is_partial() -> None:
    """Counts are cached for half a minute. If the cached count has expired, it is unknown, and the
    page does not show 0."""
    world = await _warm()
    await world.later(31)
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.PARTIAL)


async def test_without_the_database_a_page_ends_where_the_timeline_does() -> None:
    """A page that would need the database ends early and is partial. Its cursor continues from
    there."""
    world = await make_world(**SMALL)
    await world.follow(READER, 2)
    for photo in range(10, 30):
        await world.post(photo, 2)
    await world.later(120)
    await world.page(READER, 10)
    world.fail("cassandra")

    page = await world.page(READER, 10)
    world.fail("cassandra", down=False)
    following = await world.page(READER, 3, page.below)

    assert (page.ids, page.completeness) == ([29, 28, 27, 26, 25], Completeness.PARTIAL)
    assert following.ids == [24, 23, 22]


@pytest.mark.law("L2")
async def test_nothing_is_shown_if_the_followees_are_unknown() -> None:
    """Law: no ghost: without the following set, even the photos of the timeline stay hidden."""
    world = await _warm()
    await world.stores.cache.invalidate([following_key(READER)])
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.below, page.completeness) == ([], None, Completeness.PARTIAL)


async def test_without_any_store_a_page_is_empty_and_partial() -> None:
    """A store that does not respond never makes a feed page an error."""
    world = await _warm()
    world.fail("cassandra")
    world.fail("redis")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([], Completeness.PARTIAL)


async def test_a_page_is_complete_if_redis_fails_halfway() -> None:
    """The cache responds and the timeline does not: the page comes from the database."""
    world = await _warm()
    world.switches["page_starts"].down = True

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.COMPLETE)


async def test_a_timeline_that_may_be_older_than_the_log_makes_a_page_partial() -> None:
    """Until the workers have verified the checkpoints of this Redis, its timelines may lack photos,
    so pages are not called complete."""
    world = await _warm()
    world.switches["timelines"]._store._verified[0].clear()

    page = await world.page(READER)

    assert page.completeness is Completeness.PARTIAL


async def test_an_old_set_of_pulled_authors_makes_a_page_partial() -> None:
    """A pulled author whom this process does not know yet may be missing."""
    world = await _warm()
    world.clock.ms += 6_000
    await world.services.delivery.refresh()

    page = await world.page(READER)

    assert page.completeness is Completeness.PARTIAL


async def test_a_photo_added_to_a_pull_list_is_on_the_next_page() -> None:
    """A write invalidates the cached list, so no page shows an old one."""
    world = await _warm()
    await world.post(12, 3)

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([12, 11, 10], Completeness.COMPLETE)


async def _accept(records: Sequence[EdgeRecord]) -> None:
    """An outbox that accepts the edges."""


async def test_likes_older_than_the_cached_ones_are_found() -> None:
    """The cache has only a user's newest likes. The page reads older likes from the database and
    shows the same."""
    world = await make_world()
    world.limit(likes_cached_max=2)
    for photo in range(10, 20):
        await world.post(photo, READER)
    liked = {11, 13, 14, 18}
    for photo in liked:
        await world.stores.outgoing_edges.write(
            OutgoingEdge.LIKES, UserId(READER), photo, Membership(1, removed=False)
        )

    page, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))
    again, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))

    assert {int(item["photo_id"]) for item in orjson.loads(page)["items"] if item["liked"]} == liked
    assert again == page


@pytest.mark.parametrize("change", [PhotoLiked, PhotoUnliked])
async def test_a_like_from_another_producer_is_seen_by_the_next_page(
    change: type[PhotoLiked | PhotoUnliked],
) -> None:
    """Law: no old cached value is read after a write, by the API or upstream."""
    world = await make_world()
    await world.post(10, READER)
    await world.stores.outgoing_edges.write(
        OutgoingEdge.LIKES, UserId(READER), 10, Membership(1, change is PhotoLiked)
    )

    async def liked() -> bool:
        page, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))
        return bool(orjson.loads(page)["items"][0]["liked"])

    before = await liked()
    data = change(photo_id=PhotoId(10), user_id=UserId(READER))
    outbox: Any = SimpleNamespace(edges=_accept)
    kind = EventType.PHOTO_LIKED if change is PhotoLiked else EventType.PHOTO_UNLIKED
    await likes_changed(
        world.stores.outgoing_edges,
        world.stores.removal_marks,
        world.stores.cache,
        outbox,
        [Event("1", "/upstream", kind, 2, data)],
    )

    assert (before, await liked()) == (change is PhotoUnliked, change is PhotoLiked)


async def test_older_likes_need_a_slot_of_the_database() -> None:
    """They are read past the cache, but not past the bound on the reads that all callers share."""
    world = await make_world(database_reads_in_flight_max=1, request_deadline_ms=20)
    world.limit(likes_cached_max=1)
    for photo in (10, 11):
        await world.stores.outgoing_edges.write(
            OutgoingEdge.LIKES, UserId(READER), photo, Membership(1, removed=False)
        )
    reads, photos = world.services.feed.reads, [PhotoId(10), PhotoId(11)]

    cached = await reads.liked(UserId(READER), photos, {})
    async with reads.through.reads.slot():
        with pytest.raises(TooManyReads):
            await reads.liked(UserId(READER), photos, {})

    assert cached == {10, 11}


async def test_readers_who_miss_a_giants_list_at_once_read_it_together() -> None:
    """It has expired: fifty readers ask the database once, and once more for those who came meanwhile."""
    world = await make_world()
    readers = range(100, 150)
    for reader in readers:
        await world.follow(reader, 3)
    await world.post(11, 3)
    await world.pull(3)
    await world.later(120)
    for reader in readers:
        await world.page(reader)
    await world.stores.cache.invalidate([pull_list_key(3)])
    await world.later(2)  # The process holds it no more.
    calls = world.switches["author_photos"].calls
    calls.clear()

    pages = await asyncio.gather(*(world.page(reader) for reader in readers))

    assert [([11], Completeness.COMPLETE)] * 50 == [(page.ids, page.completeness) for page in pages]
    assert calls in (["newest"], ["newest"] * 2)
