"""Follow and unfollow, and the list of followees."""

import pytest

from schemas.events import EventType
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from tests.unit.api.routes.requests import ME, OTHER, all_pages, status_of
from tests.worlds.api import make_world


@pytest.mark.parametrize("limit", [1, 3, 1_000])
async def test_every_followee_is_listed_once(limit: int) -> None:
    """In ascending order of ids, across pages of any length; an unfollowed user is not listed."""
    world = await make_world()
    for followee in (30, 5, 2**62, 7, 9):
        await world.follow(ME, followee)
    await world.follow(ME, 7, removed=True)

    assert await all_pages(world, "/v1/social/following", limit) == ["5", "9", "30", str(2**62)]


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_follow_is_published_and_seen_by_the_next_request(method: str) -> None:
    """The followee's photos are in the feed at once. A follow may be repeated."""
    world = await make_world()
    await world.post(10, OTHER)
    assert (await world.page(ME)).ids == []

    statuses = [await status_of(world, method, f"/v1/social/follow/{OTHER}") for _ in range(2)]

    assert statuses == [204, 204]
    assert (await world.page(ME)).ids == [10]
    first = world.publisher.published[0]
    assert (first.topic, first.key_id, first.type) == ("follows", ME, EventType.USER_FOLLOWED)
    assert first.data.model_dump() == {"follower_id": "1", "followee_id": "2"}


@pytest.mark.law("L2")
async def test_an_unfollow_is_published_and_hides_at_once() -> None:
    """Law: no ghost: the very next page is without the author's photos."""
    world = await make_world()
    await world.follow(ME, OTHER)
    await world.post(10, OTHER)
    await world.later(120)
    assert (await world.page(ME)).ids == [10]

    status = await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}")

    assert (status, (await world.page(ME)).ids) == (204, [])
    assert world.publisher.published[-1].type is EventType.USER_UNFOLLOWED


async def test_a_change_over_http_is_later_than_the_stored_row() -> None:
    """This holds even if the time in the row is ahead of this process's clock. Otherwise the change
    would have no effect."""
    world = await make_world()
    ahead_us = world.clock.us() + 60_000_000
    await world.stores.outgoing_edges.write(
        OutgoingEdge.FOLLOWING, UserId(ME), OTHER, Membership(ahead_us, False)
    )

    await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}")

    assert world.publisher.published[-1].time_us == ahead_us + 1
    row = await world.stores.outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(ME), OTHER)
    assert row == Membership(ahead_us + 1, removed=True)


async def test_nobody_follows_themselves() -> None:
    """The request is 422, and nothing is published."""
    world = await make_world()

    statuses = [
        await status_of(world, method, f"/v1/social/follow/{ME}") for method in ("PUT", "POST", "DELETE")
    ]

    assert (statuses, world.publisher.published) == ([422, 422, 422], [])


async def test_the_number_of_followees_is_limited() -> None:
    """At the limit, one more follow is 409. A repeated follow of a current followee still
    succeeds."""
    world = await make_world(following_max=2)

    statuses = [await status_of(world, "PUT", f"/v1/social/follow/{user}") for user in (2, 3, 4, 3)]
    after_an_unfollow = [
        await status_of(world, "DELETE", "/v1/social/follow/2"),
        await status_of(world, "PUT", "/v1/social/follow/4"),
    ]

    assert (statuses, after_an_unfollow) == ([204, 204, 409, 204], [204, 204])


@pytest.mark.law("L2")
async def test_an_unfollow_that_cannot_invalidate_the_cache_is_503_and_can_be_repeated() -> None:
    """Law: no ghost: the old cached set would still be read, so the unfollow is not acknowledged."""
    world = await make_world()
    await world.follow(ME, OTHER)
    await world.page(ME)
    world.switches["cache"].failing = {"invalidate"}
    failed = await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}")
    world.switches["cache"].failing = set()

    assert failed == 503
    assert await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}") == 204
    assert (await world.services.feed.reads.following(UserId(ME))).values == {ME: {}}
