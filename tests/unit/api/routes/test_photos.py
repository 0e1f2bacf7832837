"""GET, list and DELETE of photos: who sees them, and what a delete leaves."""

import pytest

from schemas.events import EventType
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.core.eras import era_of
from streams.stores.cache.keys import likes_key
from tests.unit.api.routes.requests import ME, OTHER, all_pages, get, status_of, store_set
from tests.worlds.api import make_world


async def test_a_photo_is_as_the_contract_says() -> None:
    """Every field: ids are decimal strings, times are in UTC, URLs are absolute and signed."""
    world = await make_world()
    await world.post(10, OTHER)
    await store_set(world, SetKind.LIKERS, 10, [5, 6, 7], 0)

    photo = await get(world, "/v1/photos/10")

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
    """Everybody sees a ready photo. Only the author sees a processing or rejected one. Nobody sees
    a deleted one."""
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
            responses = [await client.get(f"/v1/photos/{photo}") for photo in (9, 10, 11, 12, 13)]
            seen[user] = [response.status_code for response in responses]

    assert seen == {ME: [404, 200, 200, 200, 404], OTHER: [404, 200, 404, 404, 404]}
    rejected = await get(world, "/v1/photos/12")
    assert (rejected["status"], rejected["reason"], rejected["renditions"]) == ("rejected", "too_large", {})
    processing = await get(world, "/v1/photos/11")
    assert (processing["status"], processing["reason"], processing["caption"]) == ("processing", None, "soon")


async def test_a_photo_requested_before_its_upload_is_found_after_it() -> None:
    """The cache also stores for seconds that a photo does not exist. The upload invalidates this
    value."""
    world = await make_world()
    async with world.client(ME) as client:
        early = await client.get("/v1/photos/10")
        await world.post(10, OTHER)
        late = await client.get("/v1/photos/10")

    assert (early.status_code, late.status_code) == (404, 200)


async def test_a_photo_whose_likes_are_not_known_is_503() -> None:
    """A page can say that it is incomplete. A single photo has no such field, so an error is
    returned."""
    world = await make_world()
    await world.post(10, OTHER)
    await get(world, "/v1/photos/10")
    await world.stores.cache.invalidate([likes_key(ME, era_of(10))])
    world.fail("cassandra")
    async with world.client(ME) as client:
        response = await client.get("/v1/photos/10")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


@pytest.mark.law("L4")
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_an_authors_list_has_every_photo_once(limit: int) -> None:
    """Others see the ready photos; the author also sees those that are processing or rejected."""
    world = await make_world(pull_list_ids_max=3)
    for photo in range(10, 20):
        await world.post(photo, OTHER)
    await world.upload(20, OTHER)
    await world.upload(15_000, OTHER)
    await world.stores.photos.mark_rejected(PhotoId(15_000), "too_large")
    await world.delete(12, OTHER)
    ready = [photo for photo in range(19, 9, -1) if photo != 12]

    others = await all_pages(world, f"/v1/users/{OTHER}/photos", limit)
    own = await all_pages(world, f"/v1/users/{OTHER}/photos", limit, OTHER)

    assert [int(photo["photo_id"]) for photo in others] == ready
    assert [int(photo["photo_id"]) for photo in own] == [15_000, 20, *ready]
    assert [photo["status"] for photo in own[:3]] == ["rejected", "processing", "ready"]


async def test_the_list_of_an_unknown_author_is_empty() -> None:
    """An unknown id is an author without photos, not an error."""
    world = await make_world()

    page = await get(world, "/v1/users/777/photos")

    assert page == {"items": [], "next_cursor": None, "completeness": "complete"}


async def test_an_authors_list_without_the_database_is_stale_or_partial() -> None:
    """If rows are cached and likes are unknown, the page is stale. If nothing is cached, it is
    empty and partial."""
    world = await make_world()
    await world.post(10, OTHER)
    await get(world, f"/v1/users/{OTHER}/photos")
    await world.stores.cache.invalidate([likes_key(ME, era_of(10))])
    world.fail("cassandra")

    cached = await get(world, f"/v1/users/{OTHER}/photos")
    unknown = await get(world, "/v1/users/3/photos")

    assert ([item["photo_id"] for item in cached["items"]], cached["completeness"]) == (["10"], "stale")
    assert unknown == {"items": [], "next_cursor": None, "completeness": "partial"}


async def test_a_delete_hides_the_photo_at_once_and_may_be_repeated() -> None:
    """Both requests return 204. The photo disappears from its own path and from its followers'
    feeds."""
    world = await make_world()
    await world.follow(OTHER, ME)
    await world.post(10, ME)
    await world.later(120)
    assert (await world.page(OTHER)).ids == [10]

    statuses = [await status_of(world, "DELETE", "/v1/photos/10") for _ in range(2)]

    assert statuses == [204, 204]
    assert (await world.page(OTHER)).ids == []
    assert [await status_of(world, "GET", "/v1/photos/10", user) for user in (ME, OTHER)] == [404, 404]
    event = world.publisher.published[0]
    assert (event.topic, event.key_id, event.type) == ("uploads", ME, EventType.PHOTO_DELETED)
    assert await world.stores.photos.tombstones([(PhotoId(10), UserId(ME))])


async def test_a_delete_works_before_the_photo_is_ready() -> None:
    """Authors can delete their photos while they are processing or rejected."""
    world = await make_world()
    await world.upload(10, ME)
    await world.upload(11, ME)
    await world.stores.photos.mark_rejected(PhotoId(11), "too_large")

    statuses = [await status_of(world, "DELETE", f"/v1/photos/{photo}") for photo in (10, 11)]

    assert (statuses, (await world.page(ME)).ids) == ([204, 204], [])


async def test_anothers_photo_cannot_be_deleted() -> None:
    """The response is 403 if the caller can see the photo, otherwise 404. Nothing is published."""
    world = await make_world()
    await world.post(10, OTHER)
    await world.upload(11, OTHER)
    await world.post(12, OTHER)
    await world.delete(12, OTHER)

    statuses = [await status_of(world, "DELETE", f"/v1/photos/{photo}") for photo in (9, 10, 11, 12)]

    assert (statuses, world.publisher.published) == ([404, 403, 404, 404], [])


@pytest.mark.law("L2")
async def test_a_delete_that_cannot_invalidate_the_cache_is_503_and_can_be_repeated() -> None:
    """Law: no ghost: the old cached row would still be shown."""
    world = await make_world()
    await world.post(10, ME)
    world.switches["cache"].failing = {"invalidate"}
    failed = await status_of(world, "DELETE", "/v1/photos/10")
    world.switches["cache"].failing = set()

    assert (failed, await status_of(world, "DELETE", "/v1/photos/10")) == (503, 204)
    assert await status_of(world, "GET", "/v1/photos/10") == 404
