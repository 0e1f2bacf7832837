"""The thin writes: published, written, seen by the caller's own next request, and safe to repeat."""

import pytest

from schemas.events import EventType
from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from tests.worlds.api import World, make_world

ME, OTHER = 1, 2


async def _status(world: World, method: str, path: str, user: int = ME) -> int:
    async with world.client(user) as client:
        return (await client.request(method, path)).status_code


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_follow_is_published_and_seen_by_the_next_request(method: str) -> None:
    """Idempotent; the followee's photos and the listing are there at once."""
    world = await make_world()
    await world.post(10, OTHER)
    assert (await world.page(ME)).ids == []

    statuses = [await _status(world, method, f"/v1/social/follow/{OTHER}") for _ in range(2)]

    assert statuses == [204, 204]
    assert (await world.page(ME)).ids == [10]
    first = world.publisher.published[0]
    assert (first.topic, first.key_id, first.type) == ("follows", ME, EventType.USER_FOLLOWED)
    assert first.data.model_dump() == {"follower_id": "1", "followee_id": "2"}


@pytest.mark.law("L2")
async def test_an_unfollow_is_published_and_hides_at_once() -> None:
    """Law: no ghost: the very next page is without the author."""
    world = await make_world()
    await world.follow(ME, OTHER)
    await world.post(10, OTHER)
    await world.later(120)
    assert (await world.page(ME)).ids == [10]

    status = await _status(world, "DELETE", f"/v1/social/follow/{OTHER}")

    assert (status, (await world.page(ME)).ids) == (204, [])
    assert world.publisher.published[-1].type is EventType.USER_UNFOLLOWED


async def test_what_is_done_over_http_is_later_than_all_that_is_stored() -> None:
    """Also than a row whose time is ahead of this clock."""
    world = await make_world()
    ahead_us = world.clock.us() + 60_000_000
    await world.stores.outgoing_edges.write(
        OutgoingEdge.FOLLOWING, UserId(ME), OTHER, Membership(ahead_us, False)
    )

    await _status(world, "DELETE", f"/v1/social/follow/{OTHER}")

    assert world.publisher.published[-1].time_us == ahead_us + 1
    stored = await world.stores.outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(ME), OTHER)
    assert stored == Membership(ahead_us + 1, removed=True)


async def test_nobody_follows_themselves() -> None:
    """422, and nothing is published."""
    world = await make_world()

    statuses = [
        await _status(world, method, f"/v1/social/follow/{ME}") for method in ("PUT", "POST", "DELETE")
    ]

    assert (statuses, world.publisher.published) == ([422, 422, 422], [])


async def test_followees_are_limited() -> None:
    """409 for one more than the limit; one who is followed already may be followed again."""
    world = await make_world(following_max=2)

    statuses = [await _status(world, "PUT", f"/v1/social/follow/{user}") for user in (2, 3, 4, 3)]
    after_one_left = [
        await _status(world, "DELETE", "/v1/social/follow/2"),
        await _status(world, "PUT", "/v1/social/follow/4"),
    ]

    assert (statuses, after_one_left) == ([204, 204, 409, 204], [204, 204])


@pytest.mark.law("L2")
async def test_an_unfollow_that_cannot_remove_the_copy_is_503_and_can_be_repeated() -> None:
    """Law: no ghost: the old copy would still be read, so the unfollow is not acknowledged."""
    world = await make_world()
    await world.follow(ME, OTHER)
    await world.page(ME)
    world.switches["cache"].failing = {"invalidate"}
    failed = await _status(world, "DELETE", f"/v1/social/follow/{OTHER}")
    world.switches["cache"].failing = set()

    assert failed == 503
    assert await _status(world, "DELETE", f"/v1/social/follow/{OTHER}") == 204
    assert (await world.services.feed.reads.following(UserId(ME))).values == {ME: {}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/social/follow/2"),
        ("DELETE", "/v1/social/follow/2"),
        ("PUT", "/v1/photos/10/like"),
        ("DELETE", "/v1/photos/10/like"),
        ("DELETE", "/v1/photos/11"),
    ],
)
@pytest.mark.parametrize("store", ["kafka", "cassandra"])
async def test_a_write_whose_store_is_away_is_503_and_changes_nothing_seen(
    method: str, path: str, store: str
) -> None:
    """Retry-After, no half-done change: the event goes first, and without it nothing is written."""
    world = await make_world()
    await world.post(10, OTHER)
    await world.post(11, ME)
    await world.follow(ME, 3)
    before = await world.page(ME), await _rows(world)
    world.fail(store)
    async with world.client(ME) as client:
        answer = await client.request(method, path)
    world.fail(store, down=False)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await world.page(ME), await _rows(world)) == before


async def _rows(world: World) -> list[object]:
    """What the caller's own rows say."""
    own = world.stores.outgoing_edges
    liked = await own.state(OutgoingEdge.LIKES, UserId(ME), 10)
    return [await own.following(UserId(ME)), liked, await world.stores.photos.get([PhotoId(11)])]


async def test_a_like_is_published_and_seen_by_the_next_request() -> None:
    """`liked` is the caller's own; the count follows when the event has been handled."""
    world = await make_world()
    await world.post(10, OTHER)
    seen: list[object] = []
    async with world.client(ME) as client:
        for method in ("PUT", "PUT", "DELETE", "DELETE"):
            assert (await client.request(method, "/v1/photos/10/like")).status_code == 204
            photo = (await client.get("/v1/photos/10")).json()
            seen.append((photo["liked"], photo["like_count"]))

    assert seen == [(True, 0), (True, 0), (False, 0), (False, 0)]
    assert [each.type for each in world.publisher.published] == [
        EventType.PHOTO_LIKED,
        EventType.PHOTO_LIKED,
        EventType.PHOTO_UNLIKED,
        EventType.PHOTO_UNLIKED,
    ]
    times = [each.time_us for each in world.publisher.published]
    assert times == sorted(set(times))
    assert {(each.topic, each.key_id) for each in world.publisher.published} == {("likes", 10)}


async def test_a_photo_that_the_caller_cannot_see_cannot_be_liked() -> None:
    """404 for one that is unknown, not ready, rejected or deleted; the own may be liked while processing."""
    world = await make_world()
    await world.upload(10, OTHER)
    await world.upload(11, OTHER)
    await world.stores.photos.mark_rejected(PhotoId(11), "too_large")
    await world.post(12, OTHER)
    await world.delete(12, OTHER)
    await world.upload(13, ME)

    statuses = {
        photo: [await _status(world, method, f"/v1/photos/{photo}/like") for method in ("PUT", "DELETE")]
        for photo in (9, 10, 11, 12, 13)
    }

    assert statuses == {9: [404] * 2, 10: [404] * 2, 11: [404] * 2, 12: [404] * 2, 13: [204] * 2}


async def test_a_delete_takes_the_photo_away_at_once_and_may_be_repeated() -> None:
    """204 and 204; gone from the photo, the list and the feed of whoever follows."""
    world = await make_world()
    await world.follow(OTHER, ME)
    await world.post(10, ME)
    await world.later(120)
    assert (await world.page(OTHER)).ids == [10]

    statuses = [await _status(world, "DELETE", "/v1/photos/10") for _ in range(2)]

    assert statuses == [204, 204]
    assert (await world.page(OTHER)).ids == []
    assert [await _status(world, "GET", "/v1/photos/10", user) for user in (ME, OTHER)] == [404, 404]
    event = world.publisher.published[0]
    assert (event.topic, event.key_id, event.type) == ("uploads", ME, EventType.PHOTO_DELETED)
    assert await world.stores.photos.has_tombstone(PhotoId(10), UserId(ME))


async def test_a_delete_works_before_the_photo_is_ready() -> None:
    """Processing or rejected: the author sees it, so the author can delete it."""
    world = await make_world()
    await world.upload(10, ME)
    await world.upload(11, ME)
    await world.stores.photos.mark_rejected(PhotoId(11), "too_large")

    statuses = [await _status(world, "DELETE", f"/v1/photos/{photo}") for photo in (10, 11)]

    assert (statuses, (await world.page(ME)).ids) == ([204, 204], [])


async def test_anothers_photo_cannot_be_deleted() -> None:
    """403 where it can be seen, otherwise 404; nothing is published."""
    world = await make_world()
    await world.post(10, OTHER)
    await world.upload(11, OTHER)
    await world.post(12, OTHER)
    await world.delete(12, OTHER)

    statuses = [await _status(world, "DELETE", f"/v1/photos/{photo}") for photo in (9, 10, 11, 12)]

    assert (statuses, world.publisher.published) == ([404, 403, 404, 404], [])


@pytest.mark.law("L2")
async def test_a_delete_that_cannot_drop_the_copy_is_503_and_can_be_repeated() -> None:
    """Law: no ghost: an old copy of the row would still be shown."""
    world = await make_world()
    await world.post(10, ME)
    world.switches["cache"].failing = {"invalidate"}
    failed = await _status(world, "DELETE", "/v1/photos/10")
    world.switches["cache"].failing = set()

    assert (failed, await _status(world, "DELETE", "/v1/photos/10")) == (503, 204)
    assert await _status(world, "GET", "/v1/photos/10") == 404
