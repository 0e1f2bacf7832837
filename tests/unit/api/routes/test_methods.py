"""OPTIONS, HEAD and methods that a path does not have, on every route."""

import pytest
from starlette.routing import Route

from tests.worlds.api import World, make_world

PARAMETERS = {
    "photo_id": 7,
    "user_id": 8,
    "table": "lanes.csv",
    "name": "consumer-stopped",
    "group": "check",
    "topic": "likes",
    "partition": 0,
}
OTHERS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


async def _paths(world: World) -> dict[str, set[str]]:
    """Every path with its methods; ids are filled in."""
    methods: dict[str, set[str]] = {}
    for route in world.app.routes:
        if isinstance(route, Route):  # Mounted files have no methods of their own.
            path = route.path.format(**PARAMETERS)
            methods.setdefault(path, set()).update(route.methods or ())
    return methods


async def test_options_names_the_methods_of_every_path() -> None:
    """Without a token: what a path can do is in the contract anyway."""
    world = await make_world()
    paths = await _paths(world)
    async with world.client() as client:
        responses = {path: await client.options(path) for path in paths}

    assert len(paths) > 12
    for path, response in responses.items():
        expected = {*paths[path], "OPTIONS"} | ({"HEAD"} if "GET" in paths[path] else set())
        assert (path, response.status_code, response.content) == (path, 204, b"")
        assert (path, {*response.headers["allow"].split(", ")}) == (path, expected)


async def test_head_has_the_status_and_headers_of_get_on_every_path() -> None:
    """Without the body. If a path has no GET, HEAD is 405."""
    world = await make_world()
    for path in await _paths(world):
        async with world.client(1, roles=["ops"]) as client:
            head, get = await client.head(path), await client.get(path)

        assert (path, head.status_code, head.content) == (path, get.status_code, b"")
        if path != "/metrics":  # Its numbers change with every request.
            assert (path, head.headers) == (path, get.headers)


@pytest.mark.parametrize("method", sorted(OTHERS))
async def test_a_method_that_a_path_does_not_have_is_405_with_all_it_has(method: str) -> None:
    """A problem document; `Allow` has the methods of all routes of the path."""
    world = await make_world()
    for path, methods in (await _paths(world)).items():
        if method in methods:
            continue
        async with world.client(1) as client:
            response = await client.request(method, path)

        assert (path, response.status_code) == (path, 405)
        assert (path, methods <= {*response.headers["allow"].split(", ")}) == (path, True)
        assert response.headers["content-type"] == "application/problem+json"


async def test_options_of_an_unknown_path_is_404() -> None:
    """As with every other method."""
    world = await make_world()
    async with world.client() as client:
        response = await client.options("/v1/nothing")

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
