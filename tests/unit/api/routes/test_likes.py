"""PUT and DELETE of likes."""

from schemas.events import EventType
from schemas.ids import PhotoId
from tests.unit.api.routes.requests import ME, OTHER, status_of
from tests.worlds.api import make_world


async def test_a_like_is_published_and_seen_by_the_next_request() -> None:
    """`liked` concerns only the caller and changes at once. The count changes when the event has
    been handled."""
    world = await make_world()
    await world.post(10, OTHER)
    seen: list[object] = []
    async with world.client(ME) as client:
        for method in ("PUT", "PUT", "DELETE", "DELETE"):
            assert (await client.request(method, "/v1/photos/10/like")).status_code == 204
            photo = (await client.get("/v1/photos/10")).json()
            seen.append((photo["liked"], photo["like_count"]))

    assert seen == [(True, 0), (True, 0), (False, 0), (False, 0)]
    assert [event.type for event in world.publisher.published] == [
        EventType.PHOTO_LIKED,
        EventType.PHOTO_LIKED,
        EventType.PHOTO_UNLIKED,
        EventType.PHOTO_UNLIKED,
    ]
    times = [event.time_us for event in world.publisher.published]
    assert times == sorted(set(times))
    assert {(event.topic, event.key_id) for event in world.publisher.published} == {("likes", 10)}


async def test_a_photo_that_the_caller_cannot_see_cannot_be_liked() -> None:
    """The response is 404 if the photo is unknown, not ready, rejected or deleted. Authors may like
    their own photos before they are ready."""
    world = await make_world()
    await world.upload(10, OTHER)
    await world.upload(11, OTHER)
    await world.stores.photos.mark_rejected(PhotoId(11), "too_large")
    await world.post(12, OTHER)
    await world.delete(12, OTHER)
    await world.upload(13, ME)

    statuses = {
        photo: [await status_of(world, method, f"/v1/photos/{photo}/like") for method in ("PUT", "DELETE")]
        for photo in (9, 10, 11, 12, 13)
    }

    assert statuses == {9: [404] * 2, 10: [404] * 2, 11: [404] * 2, 12: [404] * 2, 13: [204] * 2}
