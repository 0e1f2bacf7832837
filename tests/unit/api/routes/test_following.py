"""Follow and unfollow, and the list of followees."""

import asyncio
import itertools
from typing import Any

import pytest

from schemas.events import EventType
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from tests.unit.api.routes.requests import ME, OTHER, all_pages, get, status_of
from tests.worlds.api import another_process, make_world


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
@pytest.mark.parametrize("operation", ["append", "invalidate"])
async def test_an_unfollow_that_cannot_reach_the_cache_is_503_and_can_be_repeated(operation: str) -> None:
    """Law: no ghost: the old cached set would still be read, so the unfollow is not acknowledged."""
    world = await make_world()
    await world.follow(ME, OTHER)
    await world.page(ME)
    world.switches["cache"].failing = {operation}
    failed = await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}")
    world.switches["cache"].failing = set()

    assert failed == 503
    assert await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}") == 204
    assert (await world.services.feed.reads.following(UserId(ME))).values == {ME: {}}


async def test_own_changes_do_not_make_a_page_read_all_followees() -> None:
    """They are appended to what is cached. A page after each of them is exact."""
    world = await make_world()
    for followee in (OTHER, 3):
        await world.follow(ME, followee)
    following = world.services.feed.reads.following
    listed = [list((await following(UserId(ME))).values[UserId(ME)])]
    before = world.switches["outgoing_edges"].calls.count("following_rows")
    for method in ("DELETE", "PUT", "DELETE"):
        await status_of(world, method, "/v1/social/follow/3")
        listed.append(list((await following(UserId(ME))).values[UserId(ME)]))

    assert listed == [[OTHER, 3], [OTHER], [OTHER, 3], [OTHER]]
    assert world.switches["outgoing_edges"].calls.count("following_rows") == before


async def test_a_repeated_follow_reads_one_row() -> None:
    """However many followees there are, they are neither read nor counted."""
    world = await make_world(following_max=3)
    for followee in (2, 3, 4):
        await world.follow(ME, followee)
    before = len(world.switches["outgoing_edges"].calls)

    statuses = [await status_of(world, "PUT", "/v1/social/follow/3") for _ in range(3)]

    assert statuses == [204] * 3
    assert set(world.switches["outgoing_edges"].calls[before:]) == {"state", "write"}


@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_follow_reads_its_edge_once(earlier: int) -> None:
    """A row and a mark, whether the user follows the followee already or not; the followees are counted once
    in a while."""
    world = await make_world()
    for _ in range(1 + earlier):
        await status_of(world, "PUT", f"/v1/social/follow/{OTHER + 1 - earlier}")
    rows, marks = world.switches["outgoing_edges"].calls, world.switches["removal_marks"].calls
    before = len(rows), len(marks)

    assert await status_of(world, "PUT", f"/v1/social/follow/{OTHER}") == 204

    assert (rows[before[0] :], marks[before[1] :]) == (["state", "write"], ["times"])


async def test_a_follow_that_waited_for_another_one_reads_its_edge_again() -> None:
    """At the limit, the second of two equal follows repeats the first, and is no follow above the limit."""
    world = await make_world(following_max=1)
    path = f"/v1/social/follow/{OTHER}"

    statuses = await asyncio.gather(*(status_of(world, "PUT", path) for _ in range(2)))

    assert statuses == [204, 204]


async def test_a_follow_whose_read_took_longer_than_another_follow_reads_its_edge_again() -> None:
    """Otherwise the second of two equal follows would be one above the limit."""
    world = await make_world(following_max=1)
    path = f"/v1/social/follow/{OTHER}"
    reads, both_read, first_ended = itertools.count(), asyncio.Event(), asyncio.Event()

    async def second_waits() -> None:
        number = next(reads)
        if number == 0:
            await both_read.wait()
        elif number == 1:
            both_read.set()
            await first_ended.wait()

    world.switches["removal_marks"].before = second_waits
    first = asyncio.create_task(status_of(world, "PUT", path))
    second = asyncio.create_task(status_of(world, "PUT", path))
    await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    first_ended.set()

    assert [await first, await second] == [204, 204]


async def test_counts_are_shown_without_reading_the_followees() -> None:
    """The count is one call, which is cached until the followees change."""
    world = await make_world()
    for followee in (2, 3, 4):
        await world.follow(ME, followee)
    async with world.client(OTHER) as client:
        shown = [(await client.get(f"/v1/users/{ME}")).json()["following"] for _ in range(3)]
    assert await status_of(world, "DELETE", "/v1/social/follow/3") == 204
    async with world.client(OTHER) as client:
        shown.append((await client.get(f"/v1/users/{ME}")).json()["following"])

    assert shown == [3, 3, 3, 2]
    assert world.switches["outgoing_edges"].calls.count("following_counts") == 2
    assert "following_rows" not in world.switches["outgoing_edges"].calls


async def test_a_large_count_is_right_after_each_change_without_a_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others look at a user who follows and unfollows all the time."""
    monkeypatch.setattr("api.routes.users.LARGE_FOLLOWEES", 3)
    world = await make_world()
    for followee in (3, 4, 5):
        await world.follow(ME, followee)
    for _ in range(2):
        await get(world, f"/v1/users/{ME}", OTHER)
    edges = world.switches["outgoing_edges"]
    edges.calls.clear()
    shown = []
    for method in ("PUT", "DELETE") * 3:
        assert await status_of(world, method, "/v1/social/follow/6") == 204
        shown.append((await get(world, f"/v1/users/{ME}", OTHER))["following"])

    assert shown == [4, 3] * 3
    assert set(edges.calls) == {"state", "write"}


async def test_an_unfollow_of_nobody_leaves_nothing() -> None:
    """No row is written and nothing is published, so no id that a client invents costs weeks of
    storage."""
    world = await make_world()

    statuses = [await status_of(world, "DELETE", f"/v1/social/follow/{user}") for user in (2, 3, 3)]

    assert (statuses, world.publisher.published) == ([204] * 3, [])
    for user in (2, 3):
        assert await world.stores.outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(ME), user) is None


async def test_a_follow_after_an_unfollow_of_nobody_is_later() -> None:
    """Also on a process whose clock is behind; otherwise the mark would remove the follow again."""
    world = await make_world()
    await status_of(world, "DELETE", "/v1/social/follow/2")
    unfollowed_us = world.clock.us()
    world.clock.ms -= 400

    assert await status_of(world, "PUT", "/v1/social/follow/2") == 204
    assert world.publisher.published[-1].time_us == unfollowed_us + 1


async def test_an_unfollow_during_the_handling_of_a_follow_sees_its_row() -> None:
    """The row appears after the first look and before the mark, so its handler saw no mark."""
    world = await make_world()
    marks = world.switches["removal_marks"]
    put = world.memory.removal_marks.put

    async def after_the_row(*args: Any) -> None:
        await world.follow(ME, OTHER)
        await put(*args)

    marks.put = after_the_row  # type: ignore[attr-defined]

    assert await status_of(world, "DELETE", f"/v1/social/follow/{OTHER}") == 204
    row = await world.stores.outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(ME), OTHER)
    assert row is not None
    assert row.removed
    assert world.publisher.published[-1].type is EventType.USER_UNFOLLOWED


async def test_rows_of_former_followees_are_limited() -> None:
    """With three of them a new user cannot be followed, but a former followee can."""
    world = await make_world(removed_follows_max=3)
    for user in (2, 3, 4):
        for method in ("PUT", "DELETE"):
            assert await status_of(world, method, f"/v1/social/follow/{user}") == 204
    await world.later(10)
    async with world.client(ME) as client:
        refused = await client.put("/v1/social/follow/5")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
    assert await status_of(world, "PUT", "/v1/social/follow/3") == 204


async def test_follows_at_the_same_time_do_not_exceed_the_limit() -> None:
    """Twenty new follows at once, of one process, with room for one."""
    world = await make_world(following_max=3)
    for followee in (2, 3):
        await world.follow(ME, followee)

    statuses = await asyncio.gather(
        *(status_of(world, "PUT", f"/v1/social/follow/{user}") for user in range(10, 30))
    )

    assert sorted(statuses) == [204] + [409] * 19
    assert len(await world.stores.outgoing_edges.following(UserId(ME))) == 3


async def test_follows_through_two_processes_do_not_exceed_the_limit() -> None:
    """For two minutes, one through each every second. Neither goes by an old count, however busy it is."""
    limits = {"following_max": 40, "following_verified": 8}
    world = await make_world(**limits)
    other = await another_process(world, **limits)

    for followee in range(100, 340, 2):
        for process, chosen in ((world, followee), (other, followee + 1)):
            assert await status_of(process, "PUT", f"/v1/social/follow/{chosen}") in (204, 409)
            process.clock.ms += 1_000

    assert len(await world.stores.outgoing_edges.following(UserId(ME))) == 40


@pytest.mark.parametrize("takes_back_s", [0, 60], ids=["at once", "after a minute"])
async def test_a_follow_that_exceeds_the_limit_is_taken_back(takes_back_s: int) -> None:
    """Another process follows between this one's count and its write. Both sides of the edge are
    removed, with the time of the follow, however long that takes."""
    world = await make_world(following_max=3)
    for followee in (2, 3):
        await world.follow(ME, followee)
    edges, write = world.switches["outgoing_edges"], world.memory.outgoing_edges.write

    async def write_after_another(*args: Any) -> None:
        del edges.write  # Only once.
        await world.follow(ME, 4)
        await write(*args)
        edges.write = write_slowly  # type: ignore[attr-defined]

    async def write_slowly(*args: Any) -> None:
        world.clock.ms += takes_back_s * 1_000
        await write(*args)

    edges.write = write_after_another  # type: ignore[attr-defined]

    assert await status_of(world, "PUT", "/v1/social/follow/5") == 409
    assert list(await edges.following(UserId(ME))) == [2, 3, 4]
    followed, unfollowed = world.publisher.published
    assert (followed.type, unfollowed.type) == (EventType.USER_FOLLOWED, EventType.USER_UNFOLLOWED)
    assert followed.time_us == unfollowed.time_us


async def test_followees_beyond_the_limit_from_another_publisher_are_counted() -> None:
    """Events are not limited, so one more follow over HTTP is 409."""
    world = await make_world(following_max=3)
    for followee in (2, 3, 4, 5):
        await world.follow(ME, followee)

    assert await status_of(world, "PUT", "/v1/social/follow/6") == 409
