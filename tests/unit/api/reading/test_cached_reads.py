"""Pages of copies: what they show while a store is down or behind, and after a write."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

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
from streams.stores.cache.keys import likes_key
from tests.worlds.api import World, make_world

READER = 1
# Small, so that every page crosses the boundaries between the sources.
SMALL = {"timeline_ids": 5, "timeline_slots": 6, "pull_list_ids_max": 3, "feed_window_ids": 4}


async def _warm(**overrides: object) -> World:
    """A world in which the reader has just seen a page of two authors, one of them pulled."""
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


async def test_without_the_database_a_page_of_copies_is_stale() -> None:
    """All that belongs on it is here, from copies; only the likes of the caller are not known."""
    world = await _warm()
    await world.stores.cache.invalidate([likes_key(READER, era_of(10))])
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.STALE)


async def test_without_the_database_a_page_that_lacks_a_row_is_partial() -> None:
    """A photo whose row nobody has is left out, and the page says that something is missing."""
    world = await _warm()
    await world.post(12, 2, followers=(READER,))
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.PARTIAL)


async def test_without_the_database_a_page_that_lacks_a_count_is_partial() -> None:
    """Counts are copied for half a minute; later nobody knows them, and 0 is not claimed to be one."""
    world = await _warm()
    await world.later(31)
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.PARTIAL)


async def test_without_database_and_timeline_what_is_known_is_shown_as_partial() -> None:
    """A page that needs the database ends early, says so, and names where to go on."""
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
async def test_nobody_is_shown_when_it_is_not_known_who_is_followed() -> None:
    """Law: no ghost: without the following set even what the timeline has stays hidden."""
    world = await _warm()
    await world.stores.cache.invalidate([b"f" + READER.to_bytes(8)])
    world.fail("cassandra")

    page = await world.page(READER)

    assert (page.ids, page.below, page.completeness) == ([], None, Completeness.PARTIAL)


async def test_with_no_store_at_all_a_page_is_empty_and_partial() -> None:
    """A store that does not answer is never an error of the server's."""
    world = await _warm()
    world.fail("cassandra")
    world.fail("redis")

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([], Completeness.PARTIAL)


async def test_redis_that_fails_halfway_costs_nothing() -> None:
    """Copies answer and the timeline does not: the page comes from the database."""
    world = await _warm()
    world.switches["timelines"].down = True

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.COMPLETE)


async def test_a_timeline_that_may_be_older_than_the_log_makes_a_page_partial() -> None:
    """Until the workers have verified this Redis, a page built from it does not claim to be complete."""
    world = await _warm()
    world.switches["timelines"]._store._verified.clear()

    page = await world.page(READER)

    assert page.completeness is Completeness.PARTIAL


async def test_an_old_view_of_pulled_authors_makes_a_page_partial() -> None:
    """An author whom this process does not know to be pulled yet may be missing."""
    world = await _warm()
    world.clock.ms += 1_000
    object.__setattr__(world.services.pulled, "_known_s", -100.0)

    page = await world.page(READER)

    assert page.completeness is Completeness.PARTIAL


async def test_a_pull_list_written_after_a_page_was_read_is_on_the_next() -> None:
    """A write drops the copy of the list, so no page shows an old one."""
    world = await _warm()
    await world.post(12, 3)

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([12, 11, 10], Completeness.COMPLETE)


async def _taken(records: Sequence[EdgeRecord]) -> None:
    """An outbox's answer to edges."""


async def test_likes_older_than_their_copy_are_found() -> None:
    """A copy holds a user's newest likes; below those the database is asked, and the page is the same."""
    world = await make_world()
    world.limit(likes_cached_max=2)
    for photo in range(10, 20):
        await world.post(photo, READER)
    liked = {11, 13, 14, 18}
    for photo in liked:
        await world.stores.outgoing_edges.write(
            OutgoingEdge.LIKES, UserId(READER), photo, Membership(1, removed=False)
        )

    shown, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))
    again, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))

    assert {int(item["photo_id"]) for item in shown["items"] if item["liked"]} == liked
    assert again == shown


@pytest.mark.parametrize("change", [PhotoLiked, PhotoUnliked])
async def test_a_like_from_elsewhere_is_seen_by_the_next_page(
    change: type[PhotoLiked | PhotoUnliked],
) -> None:
    """Law: no old copy is read after a write, whoever published the event."""
    world = await make_world()
    await world.post(10, READER)
    await world.stores.outgoing_edges.write(
        OutgoingEdge.LIKES, UserId(READER), 10, Membership(1, change is PhotoLiked)
    )

    async def liked() -> bool:
        page, _ = await feed_page(world.services.feed, UserId(READER), PageQuery(20, None))
        return bool(page["items"][0]["liked"])

    before = await liked()
    data = change(photo_id=PhotoId(10), user_id=UserId(READER))
    outbox: Any = SimpleNamespace(edges=_taken)
    kind = EventType.PHOTO_LIKED if change is PhotoLiked else EventType.PHOTO_UNLIKED
    await likes_changed(
        world.stores.outgoing_edges, world.stores.cache, outbox, [Event("1", "/upstream", kind, 2, data)]
    )

    assert (before, await liked()) == (change is PhotoUnliked, change is PhotoLiked)
