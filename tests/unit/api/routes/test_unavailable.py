"""Reads and writes of every route while a store is unavailable."""

import pytest

from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from tests.unit.api.routes.requests import ME, OTHER
from tests.worlds.api import World, make_world


async def test_unknown_counts_and_followees_are_503() -> None:
    """A count of 0 or an empty list would be a wrong result."""
    world = await make_world()
    world.fail("cassandra")
    async with world.client(ME) as client:
        responses = [await client.get(path) for path in ("/v1/users/2", "/v1/social/following")]

    assert [response.status_code for response in responses] == [503, 503]
    assert [response.headers["retry-after"] for response in responses] == ["1", "1"]


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
async def test_a_write_without_one_of_its_stores_is_503_and_changes_nothing(
    method: str, path: str, store: str
) -> None:
    """The event is published first; if this fails, nothing is written. So no change is half
    done."""
    world = await make_world()
    await world.post(10, OTHER)
    await world.post(11, ME)
    await world.follow(ME, 3)
    if method == "DELETE":
        await world.follow(ME, OTHER)
        like = Membership(world.clock.us(), removed=False)
        await world.stores.outgoing_edges.write(OutgoingEdge.LIKES, UserId(ME), 10, like)
    before = await world.page(ME), await _rows(world)
    world.fail(store)
    async with world.client(ME) as client:
        response = await client.request(method, path)
    world.fail(store, down=False)

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert (await world.page(ME), await _rows(world)) == before


async def _rows(world: World) -> list[object]:
    """The caller's outgoing edges, and the row of the caller's photo."""
    edges = world.stores.outgoing_edges
    liked = await edges.state(OutgoingEdge.LIKES, UserId(ME), 10)
    return [await edges.following(UserId(ME)), liked, await world.stores.photos.get([PhotoId(11)])]


async def test_an_outage_writes_few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Every request fails while it lasts, and anybody can send requests."""
    world = await make_world()
    world.fail("cassandra")
    async with world.client(ME) as client:
        statuses = {(await client.get("/v1/users/2")).status_code for _ in range(100)}

    assert statuses == {503}
    assert len([record for record in caplog.records if "503" in record.getMessage()]) <= 1
