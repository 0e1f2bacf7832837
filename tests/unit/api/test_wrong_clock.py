"""While the clock is wrong, the API takes no write that would become a dead letter."""

import pytest
from fastapi.routing import APIRoute

from api.services import require_right_clock
from tests.worlds.api import World, make_world

READS = {"GET", "HEAD", "OPTIONS"}
# A form with a token, which changes nothing.
READS_BY_POST = {"/ops/groups/{group}/{topic}/{partition}"}


async def world_ahead(ms: int) -> World:
    """Return a world in which Redis's clock is `ms` behind the API's."""
    world = await make_world()

    async def now_us() -> int:
        return world.clock.us() - ms * 1_000

    world.switches["redis_clock"].now_us = now_us  # type: ignore[attr-defined]
    await world.services.health.clocks.compare()
    return world


WRITES = [
    ("PUT", "/v1/social/follow/2"),
    ("POST", "/v1/social/follow/2"),
    ("DELETE", "/v1/social/follow/2"),
    ("PUT", "/v1/photos/10/like"),
    ("DELETE", "/v1/photos/10/like"),
    ("DELETE", "/v1/photos/10"),
    ("POST", "/v1/photos"),
    ("POST", "/v1/photos/10/complete"),
    ("POST", "/ops/dead-letters"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_is_refused(method: str, path: str) -> None:
    """503 with Retry-After and the reason; nothing is published."""
    world = await world_ahead(20 * 60_000)
    async with world.client(1) as client:
        response = await client.request(method, path)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert "1200.000 s ahead of that of redis" in response.json()["detail"]
    assert world.publisher.published == []


async def test_every_route_that_writes_is_refused() -> None:
    """The list above is complete: a new route that writes must not be forgotten."""
    world = await make_world()
    writes = [
        route
        for route in world.app.routes
        if isinstance(route, APIRoute)
        and (route.methods or set()) - READS
        and route.path not in READS_BY_POST
    ]

    assert len(writes) == len(WRITES)
    for route in writes:
        assert require_right_clock in [depends.dependency for depends in route.dependencies], route.path


async def test_reads_go_on_and_the_process_is_not_ready() -> None:
    """Pages need no clock that is right to seconds. A balancer sends requests to other processes."""
    world = await world_ahead(20 * 60_000)
    async with world.client(1) as client:
        feed, alive, ready = [await client.get(path) for path in ("/v1/feed", "/healthz", "/readyz")]

    assert (feed.status_code, alive.status_code, ready.status_code) == (200, 200, 503)
    assert ready.json()["detail"] == "The clock is 1200.000 s ahead of that of redis."


async def test_a_small_difference_only_makes_it_unready() -> None:
    """Between the two limits writes are taken: their events are within what the check stage allows."""
    world = await world_ahead(600)
    async with world.client(1) as client:
        follow, ready = await client.put("/v1/social/follow/2"), await client.get("/readyz")

    assert (follow.status_code, ready.status_code) == (204, 503)
