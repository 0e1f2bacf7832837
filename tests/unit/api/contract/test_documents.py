"""The generated API documents, and whether the routes comply with them."""

import re
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from api.contract.views import EdgePage, PhotoPage, PhotoView, ProblemView, UserView
from schemas.fields import checked_caption
from tests.worlds.api import World, make_world

OPERATIONS = {
    ("get", "/v1/feed"),
    ("get", "/v1/users/{user_id}/photos"),
    ("get", "/v1/users/{user_id}"),
    ("get", "/v1/photos/{photo_id}"),
    ("delete", "/v1/photos/{photo_id}"),
    ("post", "/v1/photos"),
    ("get", "/v1/photos/{photo_id}/upload"),
    ("post", "/v1/photos/{photo_id}/complete"),
    ("put", "/v1/photos/{photo_id}/like"),
    ("delete", "/v1/photos/{photo_id}/like"),
    ("put", "/v1/social/follow/{user_id}"),
    ("post", "/v1/social/follow/{user_id}"),
    ("delete", "/v1/social/follow/{user_id}"),
    ("get", "/v1/social/following"),
    ("get", "/v1/social/followers"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/ops"),
    ("get", "/ops/lag"),
    ("get", "/openapi.json"),
    ("get", "/asyncapi.json"),
}
OPEN = {"/healthz", "/readyz", "/openapi.json", "/asyncapi.json"}


async def _document(world: World, path: str = "/openapi.json") -> dict[str, Any]:
    async with world.client() as client:
        response = await client.get(path)
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(child) for child in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(child) for child in value))
    return set()


async def test_the_document_has_every_route_and_no_other() -> None:
    """The document lists the routes that exist, each with an operation id of its own."""
    document = await _document(await make_world())

    assert set(_operations(document)) == OPERATIONS
    ids = [operation["operationId"] for operation in _operations(document).values()]
    assert len(ids) == len(set(ids))


async def test_every_reference_of_the_document_resolves() -> None:
    """Otherwise a client generator could not read the document."""
    document = await _document(await make_world())

    for reference in _references(document):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"]


async def test_every_operation_states_its_token_and_its_problems() -> None:
    """Errors have the media type of problem documents; 429 and 503 have Retry-After."""
    document = await _document(await make_world())

    for (_, path), operation in _operations(document).items():
        assert operation["security"] == ([] if path in OPEN else [{"token": []}])
        problems = {status: problem for status, problem in operation["responses"].items() if status >= "400"}
        if path.startswith("/v1/"):
            assert {"401", "422", "503"} <= set(problems)
        for status, problem in problems.items():
            assert list(problem["content"]) == ["application/problem+json"]
            assert ("Retry-After" in problem.get("headers", {})) == (status in ("429", "503"))


async def test_the_document_states_the_range_of_page_limits() -> None:
    """1 to 100 for photos, 1 to 1,000 for users, with their defaults."""
    operations = _operations(await _document(await make_world()))

    def limit(path: str) -> tuple[int, int, int]:
        parameters = operations["get", path]["parameters"]
        stated = next(parameter for parameter in parameters if parameter["name"] == "limit")
        return stated["schema"]["minimum"], stated["schema"]["maximum"], int(stated["description"].split()[0])

    assert limit("/v1/feed") == limit("/v1/users/{user_id}/photos") == (1, 100, 20)
    assert limit("/v1/social/following") == limit("/v1/social/followers") == (1, 1_000, 100)


async def test_the_document_states_which_cursors_may_be_valid() -> None:
    """An empty one is not, and every cursor that is served matches."""
    world = await make_world()
    operations = _operations(await _document(world))
    for photo in range(10, 14):
        await world.post(photo, 2)
        await world.follow(1, photo)
        await world.follow(photo, 1)
    async with world.client(1) as client:
        for path in ("/v1/feed", "/v1/users/2/photos", "/v1/social/following"):
            template = path.replace("/2/", "/{user_id}/")
            stated = next(
                parameter["schema"]
                for parameter in operations["get", template]["parameters"]
                if parameter["name"] == "cursor"
            )
            cursor = (await client.get(path, params={"limit": 1})).json()["next_cursor"]

            assert (await client.get(path, params={"cursor": ""})).status_code == 422
            assert stated["minLength"] <= len(cursor or "-") <= stated["maxLength"]
            assert re.fullmatch(stated["pattern"], cursor or "-")
            assert not re.fullmatch(stated["pattern"], "")


async def test_the_document_states_the_types_of_images_and_of_the_metrics() -> None:
    """A client generator learns which images are taken, and that metrics are text."""
    operations = _operations(await _document(await make_world()))

    body = operations["post", "/v1/photos"]["requestBody"]["content"]["application/json"]["schema"]
    metrics = operations["get", "/metrics"]["responses"]["200"]["content"]

    assert body["properties"]["content_type"]["enum"] == ["image/jpeg", "image/png", "image/webp"]
    text = {"schema": {"type": "string"}}
    assert metrics == {"text/plain": text, "application/openmetrics-text": text}


async def test_the_document_states_every_rule_of_a_caption() -> None:
    """Its pattern accepts exactly the characters that are accepted, in the query and in JSON."""
    post = _operations(await _document(await make_world()))["post", "/v1/photos"]
    [query] = [parameter["schema"] for parameter in post["parameters"] if parameter["name"] == "caption"]
    body = post["requestBody"]["content"]["application/json"]["schema"]["properties"]["caption"]

    assert query["pattern"] == body["pattern"]
    for character in map(chr, range(0x300)):
        assert (character, _is_caption(character)) == (
            character,
            re.search(query["pattern"], character) is not None,
        )


def _is_caption(text: str) -> bool:
    try:
        checked_caption(text)
    except ValueError:
        return False
    return True


async def test_the_next_requests_of_an_upload_are_links() -> None:
    """Each link names an operation that exists and has the parameter."""
    operations = _operations(await _document(await make_world()))
    by_id = {operation["operationId"]: operation for operation in operations.values()}
    responses = operations["post", "/v1/photos"]["responses"]

    for status in ("201", "202"):
        for name, link in responses[status]["links"].items():
            assert (name, ["photo_id"]) == (link["operationId"], list(link["parameters"]))
            assert "photo_id" in [parameter["name"] for parameter in by_id[name]["parameters"]]


async def test_responses_have_the_documented_shape() -> None:
    """Each response has exactly the fields of its model, of the right types."""
    world = await make_world()
    await world.follow(1, 2)
    await world.post(10, 2)
    shapes: dict[str, Any] = {
        "/v1/feed": PhotoPage,
        "/v1/users/2/photos": PhotoPage,
        "/v1/photos/10": PhotoView,
        "/v1/users/2": UserView,
        "/v1/social/following": EdgePage,
        "/v1/social/followers": EdgePage,
        "/v1/photos/11": ProblemView,
    }
    async with world.client(1) as client:
        for path, shape in shapes.items():
            body = (await client.get(path)).json()

            assert TypeAdapter(shape).validate_python(body).model_dump(mode="json") == body


async def test_private_responses_are_not_stored_by_caches() -> None:
    """No cache may show one caller's response to another."""
    world = await make_world()
    async with world.client(1) as client:
        for path in ("/v1/feed", "/v1/users/2", "/v1/users/2/photos", "/v1/social/following"):
            assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_the_contract_of_the_topics_is_served() -> None:
    """The AsyncAPI document needs no token."""
    document = await _document(await make_world(), "/asyncapi.json")

    assert document["asyncapi"] == "3.0.0"
    assert {"uploads", "follows", "likes", "uploads-dlq"} <= set(document["channels"])


async def test_a_rebuilding_page_has_retry_after() -> None:
    """The status is 200. The page has the photos that are known, and the response has
    Retry-After."""
    world = await make_world(rebuilds_per_s_max=1)
    await world.page(50)
    async with world.client(1) as client:
        response = await client.get("/v1/feed")

    assert (response.status_code, response.headers["retry-after"]) == (200, "1")
    assert response.json() == {"items": [], "next_cursor": None, "completeness": "rebuilding"}


async def test_the_contract_of_the_default_settings_does_not_change_unnoticed() -> None:
    """With the default settings the served document equals `openapi.json` in this folder, byte for
    byte."""
    expected = orjson.loads(Path(__file__).with_name("openapi.json").read_bytes())
    world = await make_world()

    async with world.client() as client:
        response = await client.get("/openapi.json")

    assert response.content == orjson.dumps(expected)


async def test_the_contract_says_the_limits_that_are_set() -> None:
    """Sizes and times in the document are those of the settings, not of the defaults."""
    world = await make_world(
        upload_bytes_max=6_000_000,
        upload_part_bytes=1_048_576,
        idempotency_key_life_s=7_200,
        media_url_life_s_min=300,
        media_url_life_s_max=600,
    )

    text = orjson.dumps(await _document(world)).decode()

    assert '"maxLength":6000000' in text
    assert '"maximum":6000000' in text
    assert "Up to 1 MiB:" in text
    assert "Above 1 MiB:" in text
    assert "the same photo for 2 hours;" in text
    assert "valid for 5 to 10 minutes." in text
    # What is left of dollar signs is of JSON schemas, patterns and links.
    assert not re.search(r'\$(?!ref"|defs[/"]|response\.|")', text)
