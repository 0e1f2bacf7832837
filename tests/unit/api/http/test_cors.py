"""Browsers' pages of other origins."""

from collections.abc import Mapping

import httpx
import pytest
from starlette.types import ASGIApp

from api.http.cors import PREFLIGHT_LIFE_S, with_cors
from streams.settings import ConnectionSettings
from tests.worlds.api import World, make_world

ORIGIN = "https://app.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


async def _request(app: ASGIApp, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        return await client.request(method, path, headers=headers)


def _bearer(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token(1)}"}


async def test_a_preflight_is_answered_without_a_token_and_may_be_cached() -> None:
    """A browser asks before it sends a token, and asks again only after the time that it is told."""
    world = await make_world()
    response = await _request(with_cors(world.app, ORIGIN), "OPTIONS", "/v1/photos", PREFLIGHT)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-max-age"] == str(PREFLIGHT_LIFE_S)
    assert {"POST", "PUT", "DELETE"} <= {*response.headers["access-control-allow-methods"].split(", ")}
    assert "Idempotency-Key" in response.headers["access-control-allow-headers"]
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "x-other"},
    ],
)
async def test_another_preflight_is_refused_with_a_problem_document(change: dict[str, str]) -> None:
    """Another origin, method or header."""
    world = await make_world()
    app = with_cors(world.app, ORIGIN)
    response = await _request(app, "OPTIONS", "/v1/photos", {**PREFLIGHT, **change})

    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert int(response.headers["content-length"]) == len(response.content)
    if "Origin" in change:
        assert "access-control-allow-origin" not in response.headers


async def test_a_page_reads_the_response_and_its_retry_after() -> None:
    """Of the configured origins only, and without cookies."""
    world = await make_world()
    app = with_cors(world.app, f"https://other.example, {ORIGIN}")
    ours = await _request(app, "GET", "/v1/feed", {**_bearer(world), "Origin": ORIGIN})
    strange = await _request(app, "GET", "/v1/feed", {**_bearer(world), "Origin": "https://evil.example"})

    assert (ours.status_code, ours.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert ours.headers["access-control-expose-headers"] == "Retry-After"
    assert "access-control-allow-credentials" not in ours.headers
    assert "access-control-allow-origin" not in strange.headers
    assert ours.headers["vary"] == strange.headers["vary"] == "Origin"


async def test_a_page_reads_errors_of_every_layer() -> None:
    """401 of a route, 503 of the gate and 500 of a bug; without the header it would see a network error."""
    world = await make_world(requests_in_flight_max=1)
    app = with_cors(world.app, ORIGIN)

    async def broken(*args: object) -> object:
        full = await _request(app, "GET", "/v1/users/2", {**_bearer(world), "Origin": ORIGIN})
        responses.append(full)
        raise RuntimeError("a bug")

    responses = [await _request(app, "GET", "/v1/feed", {"Origin": ORIGIN})]
    world.switches["outgoing_edges"].following_counts = broken  # type: ignore[attr-defined]  # A bug.
    responses.append(await _request(app, "GET", "/v1/users/2", {**_bearer(world), "Origin": ORIGIN}))

    assert [response.status_code for response in responses] == [401, 503, 500]
    assert {response.headers["access-control-allow-origin"] for response in responses} == {ORIGIN}


async def test_every_origin_can_be_allowed() -> None:
    """`*` is for APIs whose tokens anybody's page may use."""
    world = await make_world()
    response = await _request(with_cors(world.app, "*"), "GET", "/v1/feed", {"Origin": "https://any.example"})

    assert response.headers["access-control-allow-origin"] == "*"


async def test_it_is_off_by_default_and_costs_nothing() -> None:
    """Without origins nothing is wrapped around the application."""
    world = await make_world()

    assert ConnectionSettings.model_fields["cors_origins"].default == ""
    assert with_cors(world.app, "") is world.app


@pytest.mark.parametrize(
    "origins",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://App.example",
        "ftp://a.example",
    ],
)
async def test_what_no_browser_sends_is_refused_at_the_start(origins: str) -> None:
    """A browser sends an origin in lower case and without a path; another text would never match."""
    world = await make_world()

    with pytest.raises(ValueError, match="cors_origins has"):
        with_cors(world.app, f"{ORIGIN},{origins}")


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "https://[::1]:8443", "https://xn--bcher-kva.example"]
)
async def test_origins_have_ports_and_addresses(origin: str) -> None:
    """As in development."""
    world = await make_world()
    response = await _request(with_cors(world.app, origin), "GET", "/healthz", {"Origin": origin})

    assert response.headers["access-control-allow-origin"] == origin
