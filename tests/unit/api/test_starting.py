"""An API process answers from its first second, and says what it waits for."""

import httpx
from starlette.responses import PlainTextResponse

from api.starting import Front
from streams.errors import StoreUnavailable


async def up() -> None:
    pass


async def down() -> None:
    raise StoreUnavailable("redis", "probe", "down")


def client_of(front: Front) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://api.test")


async def test_a_starting_process_is_alive() -> None:
    """A liveness probe must not end a process that waits for a store."""
    async with client_of(Front({"redis": down})) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.head("/healthz")).status_code == 200


async def test_readyz_names_what_is_missing_now() -> None:
    """Cassandra, because the process has not connected yet, and every store whose probe fails."""
    async with client_of(Front({"redis": down, "s3": up})) as client:
        response = await client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["detail"] == "Starting; no answer from cassandra, redis."
    assert int(response.headers["Retry-After"]) >= 1


async def test_every_other_request_is_told_to_come_again() -> None:
    """Each method and path, with a problem document."""
    async with client_of(Front({})) as client:
        responses = [
            await client.request(method, path)
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
            for path in ("/", "/v1/feed", "/v1/photos/1/like", "/metrics", "/nothing")
        ]

    assert {response.status_code for response in responses} == {503}
    assert {response.headers["Content-Type"] for response in responses} == {"application/problem+json"}
    assert all(int(response.headers["Retry-After"]) >= 1 for response in responses)


async def test_a_connected_process_serves_the_application() -> None:
    """All requests, /healthz included, go to the application from then on."""
    front = Front({})
    front.serve(PlainTextResponse("the application"))
    async with client_of(front) as client:
        texts = {(await client.get(path)).text for path in ("/healthz", "/readyz", "/v1/feed")}

    assert texts == {"the application"}
