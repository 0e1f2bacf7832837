"""Cached follower pages save reads of the database, and no post misses a follower because of them."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import UserId, unpack_ids
from schemas.internal import FanoutPage, SetKind
from streams.core.counted import Membership
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.ports.groups import Stores
from streams.stores.memory.stores import memory_stores
from streams.timelines.fanout import photos_for_owners
from streams.timelines.follower_pages import follower_pages
from tests.worlds.flaky_stores import FlakyStores, Moment

AUTHOR = UserId(7)
BUCKET = BucketKey(SetKind.FOLLOWERS, AUTHOR, 0, 0)


def new_stores() -> FlakyStores:
    return FlakyStores(memory_stores(clock_ms=lambda: 1_800_000_000_000))


async def write(stores: Stores, stamp: int, members: Sequence[int], *, key: BucketKey = BUCKET) -> None:
    """Write `members` as a batch that ends at `stamp`."""
    summary = SetSummary(key.level, len(members)) if key.level == 0 else None
    rows = {member: Membership(time_us=stamp, removed=False) for member in members}
    await stores.counted_sets.write([BucketWrite(key, rows, len(members), summary, stamp)])


async def page(world: FlakyStores, stamp: int, key: BucketKey = BUCKET) -> set[int]:
    pages = await follower_pages(world.stores.cache, world.stores.counted_sets, {key: stamp}, copy_s=60)
    return set(unpack_ids(pages[key]))


def reads(world: FlakyStores) -> int:
    return sum(moment.operation == "members" and moment.done for moment in world.moments)


async def test_a_page_is_read_once_until_its_set_changes() -> None:
    """Two posts at the same stamp share a page; the next follow gives the total a later stamp."""
    world = new_stores()
    await write(world.real, 5, [101])

    assert (await page(world, 5), await page(world, 5), reads(world)) == ({101}, {101}, 1)

    await write(world.real, 6, [102])

    assert (await page(world, 6), reads(world)) == ({101, 102}, 2)


@pytest.mark.parametrize(("stamp", "level"), [(0, 0), (5, 2)])
async def test_what_has_no_stamp_or_a_page_in_the_database_is_not_cached(stamp: int, level: int) -> None:
    """A record of an older worker has no stamp. A page in the database is one cell."""
    world = new_stores()
    key = BucketKey(SetKind.FOLLOWERS, AUTHOR, level, 0)
    await write(world.real, 5, [101], key=key)

    assert (await page(world, stamp, key), await page(world, stamp, key), reads(world)) == ({101}, {101}, 2)


@pytest.mark.law("L1")
@pytest.mark.parametrize("stamps", [(5, 0), (0, 5)])
async def test_a_post_without_a_stamp_takes_no_page_of_another_post(stamps: tuple[int, int]) -> None:
    """It may have become ready after a follower who is not in that page."""
    world = new_stores()
    await write(world.real, 5, [101])
    await page(world, 5)
    await write(world.real, 6, [102])
    posts = [FanoutPage(9, AUTHOR, 0, 0, 1, stamp=stamp) for stamp in stamps]  # type: ignore[arg-type]

    [put] = await photos_for_owners(world.stores, posts, page_copy_s=60)

    assert set(unpack_ids(put.owners)) == {101, 102}


@pytest.mark.law("L1")
@given(st.lists(st.one_of(st.just("follow"), st.just("post"), st.integers(0, 9)), max_size=30))
async def test_every_follower_up_to_the_stamp_is_in_the_page(steps: list[str | int]) -> None:
    """Law: no lost post. Follows, posts and their deliveries happen in any order."""
    world = new_stores()
    stamp, members = 0, set[int]()
    posts: list[tuple[int, set[int]]] = []
    for step in steps:
        if step == "follow":
            stamp += 1
            members.add(100 + stamp)
            await write(world.real, stamp, [100 + stamp])
        elif step == "post":
            summary = (await world.real.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR]
            assert summary.stamp == stamp
            posts.append((summary.stamp, set(members)))
        elif isinstance(step, int) and step < len(posts):
            post_stamp, followers = posts[step]

            assert followers <= await page(world, post_stamp)


@pytest.mark.parametrize("hanging", ["get", "lease", "fill"])
async def test_a_cache_that_hangs_is_waited_for_as_long_as_the_caller_says(hanging: str) -> None:
    """The followers come from the database."""
    world = new_stores()
    await write(world.real, 5, [101])

    async def hang(moment: Moment) -> None:
        if (moment.store, moment.operation) == ("cache", hanging):
            await asyncio.Event().wait()

    world.at = hang
    async with asyncio.timeout(10):
        pages = await follower_pages(
            world.stores.cache, world.stores.counted_sets, {BUCKET: 5}, copy_s=60, wait_s=0.01
        )

    assert set(unpack_ids(pages[BUCKET])) == {101}


async def test_a_caller_that_does_not_wait_asks_no_cache() -> None:
    """A server of the cache is known to hang."""
    world = new_stores()
    await write(world.real, 5, [101])
    await page(world, 5)
    world.moments.clear()
    pages = await follower_pages(
        world.stores.cache, world.stores.counted_sets, {BUCKET: 5}, copy_s=60, wait_s=0.0
    )

    assert set(unpack_ids(pages[BUCKET])) == {101}
    assert reads(world) == 1
