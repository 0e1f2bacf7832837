"""Photos, authors' lists, counts and listings, as HTTP shows them."""

from typing import Any

import pytest

from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, Membership, bucket_of
from streams.core.eras import era_of
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.stores.cache.keys import likes_key
from tests.worlds.api import World, make_world

ME, OTHER = 1, 2


async def _get(world: World, path: str, user: int = ME) -> Any:
    async with world.client(user) as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def _fill(world: World, kind: SetKind, owner: int, members: list[int], level: int) -> None:
    """A counted set at a level, as its writer leaves it."""
    buckets: dict[int, list[int]] = {}
    for member in members:
        buckets.setdefault(bucket_of(member, level), []).append(member)
    in_now = Membership(1, removed=False)
    writes = [
        BucketWrite(
            key=BucketKey(kind, owner, level, bucket),
            rows=dict.fromkeys(some, in_now),
            count=len(some),
            summary=None,
            stamp=1,
        )
        for bucket, some in buckets.items()
    ]
    head = SetSummary(level, len(members))
    top = BucketWrite(key=BucketKey(kind, owner, 0, 0), rows={}, count=None, summary=head, stamp=2)
    await world.stores.counted_sets.write([*writes, top])


async def test_a_photo_is_as_the_contract_says() -> None:
    """Every field, ids as decimal strings, times in UTC, absolute signed URLs."""
    world = await make_world()
    await world.post(10, OTHER)
    await _fill(world, SetKind.LIKERS, 10, [5, 6, 7], 0)

    photo = await _get(world, "/v1/photos/10")

    url = photo["renditions"]["thumbnail"].pop("url")
    assert photo == {
        "photo_id": "10",
        "author_id": "2",
        "caption": "",
        "created_at": "2026-01-31T12:00:00.123000Z",
        "like_count": 3,
        "liked": False,
        "status": "ready",
        "reason": None,
        "renditions": {"thumbnail": {"width": 150, "height": 100}},
    }
    assert url.startswith("http://127.0.0.1:8080/r/1/thumbnail.jpg?Expires=")


async def test_who_sees_which_photo() -> None:
    """Ready: everybody. Processing and rejected: the author. Deleted and unknown: nobody."""
    world = await make_world()
    await world.post(10, ME)
    await world.upload(11, ME, caption="soon")
    await world.upload(12, ME)
    await world.stores.photos.mark_rejected(PhotoId(12), "too_large")
    await world.post(13, ME)
    await world.delete(13, ME)
    seen: dict[int, list[int]] = {}
    for user in (ME, OTHER):
        async with world.client(user) as client:
            answers = [await client.get(f"/v1/photos/{photo}") for photo in (9, 10, 11, 12, 13)]
            seen[user] = [answer.status_code for answer in answers]

    assert seen == {ME: [404, 200, 200, 200, 404], OTHER: [404, 200, 404, 404, 404]}
    rejected = await _get(world, "/v1/photos/12")
    assert (rejected["status"], rejected["reason"], rejected["renditions"]) == ("rejected", "too_large", {})
    processing = await _get(world, "/v1/photos/11")
    assert (processing["status"], processing["reason"], processing["caption"]) == ("processing", None, "soon")


async def test_a_photo_looked_for_too_early_is_found_when_it_comes() -> None:
    """That there is none is remembered for seconds only, and an upload drops that copy."""
    world = await make_world()
    async with world.client(ME) as client:
        early = await client.get("/v1/photos/10")
        await world.post(10, OTHER)
        late = await client.get("/v1/photos/10")

    assert (early.status_code, late.status_code) == (404, 200)


async def test_a_photo_whose_likes_are_not_known_is_503() -> None:
    """A photo has no field in which to say that it is not complete."""
    world = await make_world()
    await world.post(10, OTHER)
    await _get(world, "/v1/photos/10")
    await world.stores.cache.invalidate([likes_key(ME, era_of(10))])
    world.fail("cassandra")
    async with world.client(ME) as client:
        answer = await client.get("/v1/photos/10")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def _walk(world: World, path: str, limit: int, user: int = ME) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    for _ in range(200):
        page = await _get(world, f"{path}?limit={limit}{cursor}", user)
        assert len(page["items"]) == limit or page["next_cursor"] is None
        assert page.get("completeness", "complete") == "complete"
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the walk does not end")


@pytest.mark.law("L4")
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_an_authors_list_has_every_photo_once(limit: int) -> None:
    """Others see the ready ones; the author also those that are processing or rejected."""
    world = await make_world(pull_list_ids_max=3)
    for photo in range(10, 20):
        await world.post(photo, OTHER)
    await world.upload(20, OTHER)
    await world.upload(15_000, OTHER)
    await world.stores.photos.mark_rejected(PhotoId(15_000), "too_large")
    await world.delete(12, OTHER)
    ready = [photo for photo in range(19, 9, -1) if photo != 12]

    others = await _walk(world, f"/v1/users/{OTHER}/photos", limit)
    own = await _walk(world, f"/v1/users/{OTHER}/photos", limit, OTHER)

    assert [int(photo["photo_id"]) for photo in others] == ready
    assert [int(photo["photo_id"]) for photo in own] == [15_000, 20, *ready]
    assert [photo["status"] for photo in own[:3]] == ["rejected", "processing", "ready"]


async def test_the_list_of_nobody_is_empty() -> None:
    """An id never seen has no photos; that is no error."""
    world = await make_world()

    page = await _get(world, "/v1/users/777/photos")

    assert page == {"items": [], "next_cursor": None, "completeness": "complete"}


async def test_an_authors_list_without_the_database_says_so() -> None:
    """From copies it is stale where the likes are not known; without them it is empty and partial."""
    world = await make_world()
    await world.post(10, OTHER)
    await _get(world, f"/v1/users/{OTHER}/photos")
    await world.stores.cache.invalidate([likes_key(ME, era_of(10))])
    world.fail("cassandra")

    copied = await _get(world, f"/v1/users/{OTHER}/photos")
    unknown = await _get(world, "/v1/users/3/photos")

    assert ([item["photo_id"] for item in copied["items"]], copied["completeness"]) == (["10"], "stale")
    assert unknown == {"items": [], "next_cursor": None, "completeness": "partial"}


async def test_a_users_counts() -> None:
    """Followers and photos from their counted sets, following from the user's own side."""
    world = await make_world()
    await world.follow(OTHER, 3)
    await world.follow(OTHER, 4)
    await world.follow(OTHER, 4, removed=True)
    await _fill(world, SetKind.FOLLOWERS, OTHER, list(range(10, 40)), 1)
    await _fill(world, SetKind.READY_PHOTOS, OTHER, [10, 11], 0)

    assert await _get(world, f"/v1/users/{OTHER}") == {
        "user_id": "2",
        "followers": 30,
        "following": 1,
        "photos": 2,
    }
    assert await _get(world, "/v1/users/777") == {
        "user_id": "777",
        "followers": 0,
        "following": 0,
        "photos": 0,
    }


async def test_counts_that_are_not_known_are_503() -> None:
    """Zero would be a wrong answer."""
    world = await make_world()
    world.fail("cassandra")
    async with world.client(ME) as client:
        answers = [await client.get(path) for path in ("/v1/users/2", "/v1/social/following")]

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 2


@pytest.mark.parametrize("limit", [1, 3, 1_000])
async def test_the_followees_are_listed_once_each(limit: int) -> None:
    """By id, ascending; a walk goes on after the last id though somebody was unfollowed meanwhile."""
    world = await make_world()
    for followee in (30, 5, 2**62, 7, 9):
        await world.follow(ME, followee)
    await world.follow(ME, 7, removed=True)

    assert await _walk(world, "/v1/social/following", limit) == ["5", "9", "30", str(2**62)]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("limit", [1, 7, 40, 1_000])
async def test_the_followers_are_listed_once_each(level: int, limit: int) -> None:
    """Over all buckets of the set's level, each page full until the end."""
    world = await make_world()
    members = list(range(100, 140))
    await _fill(world, SetKind.FOLLOWERS, ME, members, level)

    listed = await _walk(world, "/v1/social/followers", limit)

    assert sorted(int(each) for each in listed) == members


async def test_a_page_of_followers_that_spans_many_buckets() -> None:
    """What a cursor says of its own bucket holds in no other."""
    world = await make_world()
    world.limit(buckets_a_page_max=BUCKETS[2])
    # Some buckets have several members, so that some pages end within a bucket.
    members = list(range(100, 2_000))
    await _fill(world, SetKind.FOLLOWERS, ME, members, 2)

    listed = await _walk(world, "/v1/social/followers", 100)

    assert sorted(int(each) for each in listed) == members


async def test_a_walk_over_followers_goes_on_while_the_set_grows_a_level() -> None:
    """The cursor names the level: its rows stay readable, so nobody is listed twice or left out."""
    world = await make_world()
    members = list(range(100, 120))
    await _fill(world, SetKind.FOLLOWERS, ME, members, 0)
    first = await _get(world, "/v1/social/followers?limit=5")
    await _fill(world, SetKind.FOLLOWERS, ME, members, 1)
    rest = await _get(world, f"/v1/social/followers?limit=1000&cursor={first['next_cursor']}")

    assert [int(each) for each in first["items"] + rest["items"]] == members


async def test_a_set_that_has_shrunk_gives_short_pages() -> None:
    """A page reads a bounded number of buckets, and the cursor goes on behind them."""
    world = await make_world()
    world.limit(buckets_a_page_max=16)
    await _fill(world, SetKind.FOLLOWERS, ME, [100, 101], 2)
    cursor, listed, pages = "", [], 0
    while cursor is not None:
        page = await _get(world, f"/v1/social/followers?limit=1000{cursor and '&cursor=' + cursor}")
        cursor, pages = page["next_cursor"], pages + 1
        listed += page["items"]

    assert sorted(listed) == ["100", "101"]
    assert pages == BUCKETS[2] // 16


async def test_counts_are_those_of_the_user_asked_for() -> None:
    """One user's copies are never another's."""
    world = await make_world()
    await _fill(world, SetKind.FOLLOWERS, 5, [1], 0)
    await _fill(world, SetKind.FOLLOWERS, 6, [1, 2], 0)

    counts = [(await _get(world, f"/v1/users/{user}"))["followers"] for user in (5, 6, 5, 6)]

    assert counts == [1, 2, 1, 2]
    assert (await world.services.feed.reads.totals(SetKind.FOLLOWERS, [UserId(7)])).values == {7: 0}
