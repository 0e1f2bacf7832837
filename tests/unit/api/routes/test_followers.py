"""GET /v1/social/followers: the list of followers, over buckets and levels."""

import pytest

from api.http.cursors import CursorKind, encode_cursor
from api.services import BUCKETS_A_PAGE_MAX
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, LEVEL_MAX
from tests.unit.api.routes.requests import ME, all_pages, get, status_of, store_set
from tests.worlds.api import make_world


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("limit", [1, 7, 40, 1_000])
async def test_every_follower_is_listed_once(level: int, limit: int) -> None:
    """The list spans all buckets of the set's level. Each page but the last is full."""
    world = await make_world()
    members = list(range(100, 140))
    await store_set(world, SetKind.FOLLOWERS, ME, members, level)

    listed = await all_pages(world, "/v1/social/followers", limit)

    assert sorted(int(follower) for follower in listed) == members


async def test_a_page_of_followers_may_span_many_buckets() -> None:
    """The member in a cursor applies only to the cursor's bucket; the following buckets are read
    from their beginning."""
    world = await make_world()
    world.limit(buckets_a_page_max=BUCKETS[2])
    # Some buckets have several members, so that some pages end within a bucket.
    members = list(range(100, 2_000))
    await store_set(world, SetKind.FOLLOWERS, ME, members, 2)

    listed = await all_pages(world, "/v1/social/followers", 100)

    assert sorted(int(follower) for follower in listed) == members


async def test_paging_through_followers_continues_while_the_set_grows_a_level() -> None:
    """The cursor names the level. The rows of this level stay readable, so no follower is listed
    twice or left out."""
    world = await make_world()
    members = list(range(100, 120))
    await store_set(world, SetKind.FOLLOWERS, ME, members, 0)
    first = await get(world, "/v1/social/followers?limit=5")
    await store_set(world, SetKind.FOLLOWERS, ME, members, 1)
    rest = await get(world, f"/v1/social/followers?limit=1000&cursor={first['next_cursor']}")

    assert [int(follower) for follower in first["items"] + rest["items"]] == members


async def test_a_set_that_has_shrunk_has_short_pages() -> None:
    """A page reads a bounded number of buckets, and the cursor continues after the last one."""
    world = await make_world()
    world.limit(buckets_a_page_max=16)
    await store_set(world, SetKind.FOLLOWERS, ME, [100, 101], 2)
    cursor, listed, pages = "", [], 0
    while cursor is not None:
        page = await get(world, f"/v1/social/followers?limit=1000{cursor and '&cursor=' + cursor}")
        cursor, pages = page["next_cursor"], pages + 1
        listed += page["items"]

    assert sorted(listed) == ["100", "101"]
    assert pages == BUCKETS[2] // 16


async def test_a_cursor_of_a_level_that_the_set_never_had_reads_no_bucket() -> None:
    """Anybody can write a cursor. Of the highest level, each page would read empty buckets alone."""
    world = await make_world()
    await store_set(world, SetKind.FOLLOWERS, ME, [100, 101], 1)
    written = encode_cursor(CursorKind.FOLLOWERS, LEVEL_MAX, 0, 0)

    status = await status_of(world, "GET", f"/v1/social/followers?cursor={written}")

    assert status == 422
    assert "page" not in world.switches["counted_sets"].calls


async def test_a_page_without_members_reads_few_buckets() -> None:
    """The bound holds for a cursor of the set's own level, too."""
    world = await make_world()
    await store_set(world, SetKind.FOLLOWERS, ME, [], LEVEL_MAX)

    page = await get(world, "/v1/social/followers")

    assert page["items"] == []
    assert world.switches["counted_sets"].calls.count("page") == BUCKETS_A_PAGE_MAX == 64


async def test_a_page_of_followers_needs_a_slot_of_the_database() -> None:
    """While other reads hold all slots, nothing of the set is read."""
    world = await make_world(database_reads_in_flight_max=1, request_deadline_ms=400)
    await store_set(world, SetKind.FOLLOWERS, ME, [100], 1)
    calls = world.switches["counted_sets"].calls
    calls.clear()
    async with world.services.social.reads.through.reads.slot():
        status = await status_of(world, "GET", "/v1/social/followers")

    assert (status, calls) == (503, [])
