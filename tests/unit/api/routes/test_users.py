"""GET /v1/users/{user_id}: a user's counts."""

import asyncio

from schemas.ids import UserId
from schemas.internal import SetKind
from streams.stores.cache.keys import following_counts_key
from tests.unit.api.routes.requests import OTHER, get, store_set
from tests.worlds.api import make_world

WAITING_S_MAX = 10.0  # A turn is waited for three times as long.


async def test_a_users_counts_are_exact() -> None:
    """Followers and photos are read from counted sets, followees from the user's outgoing edges."""
    world = await make_world()
    await world.follow(OTHER, 3)
    await world.follow(OTHER, 4)
    await world.follow(OTHER, 4, removed=True)
    await store_set(world, SetKind.FOLLOWERS, OTHER, list(range(10, 40)), 1)
    await store_set(world, SetKind.READY_PHOTOS, OTHER, [10, 11], 0)

    assert await get(world, f"/v1/users/{OTHER}") == {
        "user_id": "2",
        "followers": 30,
        "following": 1,
        "photos": 2,
    }
    assert await get(world, "/v1/users/777") == {
        "user_id": "777",
        "followers": 0,
        "following": 0,
        "photos": 0,
    }


async def test_cached_counts_are_not_mixed_up_between_users() -> None:
    """The cache stores the counts of each user under a separate key."""
    world = await make_world()
    await store_set(world, SetKind.FOLLOWERS, 5, [1], 0)
    await store_set(world, SetKind.FOLLOWERS, 6, [1, 2], 0)

    counts = [(await get(world, f"/v1/users/{user}"))["followers"] for user in (5, 6, 5, 6)]

    assert counts == [1, 2, 1, 2]
    assert (await world.services.feed.reads.totals(SetKind.FOLLOWERS, [UserId(7)])).values == {7: 0}


async def test_followees_that_cannot_be_counted_are_those_of_a_moment_ago() -> None:
    """Others see an old number for a minute at most; then, and for another user, it is 503."""
    world = await make_world()
    await world.follow(OTHER, 3)
    before = await get(world, f"/v1/users/{OTHER}")
    await world.follow(OTHER, 4)
    world.switches["outgoing_edges"].failing.add("following_counts")
    async with world.client(1) as client:
        during = await client.get(f"/v1/users/{OTHER}")
        never = await client.get("/v1/users/777")
        await world.later(61)
        late = await client.get(f"/v1/users/{OTHER}")

    assert (during.status_code, during.json()) == (200, before)
    assert (never.status_code, late.status_code) == (503, 503)


async def test_only_the_user_waits_while_followees_are_counted() -> None:
    """Others get the number of a moment ago at once. Somebody may change thousands of followees all the
    time, and each count takes long."""
    world = await make_world()
    await world.follow(OTHER, 3)
    before = await get(world, f"/v1/users/{OTHER}")
    await world.follow(OTHER, 4)
    turns = world.services.feed.reads.through.large_reads._turns
    async with world.client(OTHER) as own:
        async with turns.turn(following_counts_key(OTHER)):
            async with asyncio.timeout(WAITING_S_MAX):
                others = await get(world, f"/v1/users/{OTHER}")
            waiting = asyncio.create_task(own.get(f"/v1/users/{OTHER}"))
            # A request of the user after the waiting one has been answered.
            await own.get("/v1/users/777")
            assert not waiting.done()
        own_count = (await waiting).json()["following"]

    assert others == before
    assert own_count == 2
    assert (await get(world, f"/v1/users/{OTHER}"))["following"] == 2
