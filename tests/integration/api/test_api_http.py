"""The API on real servers: malformed requests, changes that return through Kafka, and its
shutdown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx

from bench.traffic.events import fresh_photo_ids, upload
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.ids import UserId
from shutterline.tokens import mint_token
from tests.integration.conftest import DeploymentFactory

ME, OTHER = UserId(1), UserId(2)
DEADLINE_S = 30.0
BROKEN = 0  # In place of a status: the connection broke.


@asynccontextmanager
async def _client(deployment: Deployment, user: UserId) -> AsyncIterator[httpx.AsyncClient]:
    token = mint_token(deployment.settings, user, roles=["ops"])
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=deployment.settings.api, headers=headers, timeout=10) as client:
        yield client


async def test_a_users_day(shared: Deployment) -> None:
    """A user follows, reads, likes, unfollows and deletes. Each change is visible to this user at
    once, and the counts become exact."""
    photo = fresh_photo_ids(1)[0]
    async with _client(shared, ME) as me, _client(shared, OTHER) as other:

        async def feed() -> list[str]:
            page = (await me.get("/v1/feed")).json()
            assert page["completeness"] in ("complete", "rebuilding")
            return [item["photo_id"] for item in page["items"]]

        async def counts(user: UserId) -> tuple[int, int, int]:
            shown = (await me.get(f"/v1/users/{user}")).json()
            return shown["followers"], shown["following"], shown["photos"]

        async def like_count() -> int:
            return int((await me.get(f"/v1/photos/{photo}")).json()["like_count"])

        await shared.publish([upload(shared, photo, OTHER)])
        await eventually("the photo counts", lambda: _is(counts(OTHER), (0, 0, 1)))

        assert (await me.put(f"/v1/social/follow/{OTHER}")).status_code == 204
        assert await feed() == [str(photo)]
        assert (await me.get("/v1/social/following")).json()["items"] == [str(OTHER)]
        await eventually("the follow counts", lambda: _is(counts(OTHER), (1, 0, 1)))
        assert (await other.get("/v1/social/followers")).json()["items"] == [str(ME)]

        for _ in range(2):
            assert (await me.put(f"/v1/photos/{photo}/like")).status_code == 204
        assert (await me.get("/v1/feed")).json()["items"][0]["liked"] is True
        await eventually("the like counts once", lambda: _is(like_count(), 1))

        assert (await me.delete(f"/v1/social/follow/{OTHER}")).status_code == 204
        assert await feed() == []
        await eventually("the unfollow counts", lambda: _is(counts(OTHER), (0, 0, 1)))

        assert (await me.delete(f"/v1/photos/{photo}")).status_code == 403
        assert [(await other.delete(f"/v1/photos/{photo}")).status_code for _ in range(2)] == [204, 204]
        assert (await me.get(f"/v1/photos/{photo}")).status_code == 404
        await eventually("the delete counts", lambda: _is(counts(OTHER), (0, 0, 0)))


async def _is(value: Awaitable[object], expected: object) -> bool:
    return await value == expected


async def _status(shared: Deployment, request: bytes) -> int | None:
    """Return the status of the response to these bytes, or None if the connection is closed without
    a response."""
    address = urlsplit(shared.settings.api)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
    finally:
        writer.close()
        await writer.wait_closed()
    return int(line.split()[1]) if line else None


async def test_no_bytes_cause_a_server_error(shared: Deployment) -> None:
    """The response is 2xx or 4xx, or the connection is closed; afterwards the API still works."""
    token = mint_token(shared.settings, ME).encode()
    end = b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    requests = [
        b"GET /v1/photos/\xff" + end,
        b"GET /v1/photos/%FF%FE" + end,
        b"GET /v1/photos/%00" + end,
        b"GET /v1/feed?limit=%FF&cursor=%" + end,
        b"GET /v1/feed?&&==&limit" + end,
        b"GET //v1//feed" + end,
        b"GET http://elsewhere/v1/feed" + end,
        b"GET *" + end,
        b"OPTIONS *" + end,
        b"CONNECT x:1" + end,
        b"BREW /v1/feed" + end,
        b"get /v1/feed" + end,
        b"GET /v1/feed HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /v1/feed HTTP/1.0\r\n\r\n",
        b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization:\r\n\r\n",
        b"PUT /v1/social/follow/2 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/social/follow/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"PUT /v1/social/follow/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/feed HTTP/1.1\r\nX: " + b"x" * 1_048_576 + b"\r\n\r\n",
        b"GET /v1/feed HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\nnonsense\r\n\r\n",
    ]
    statuses = {request: await _status(shared, request) for request in requests}
    alive = await _status(shared, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert {request: status for request, status in statuses.items() if (status or 400) >= 500} == {}
    assert alive == 200


async def test_large_headers_disturb_nobody(shared: Deployment) -> None:
    """Eight clients write 64 MiB each as one header and get 431, while another client is served.

    The server closes while they write, so a client may find its connection broken before it reads the 431.
    """
    begin, piece = b"GET /v1/feed HTTP/1.1\r\nX: ", b"x" * 1_048_576
    address = urlsplit(shared.settings.api)

    async def flood() -> int:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        with suppress(ConnectionError):
            writer.write(begin)
            for _ in range(64):
                writer.write(piece)
                await writer.drain()
        try:
            line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        except ConnectionError:
            return BROKEN
        finally:
            writer.transport.abort()
        return int(line.split()[1])

    async with _client(shared, ME) as me:
        floods = [asyncio.create_task(flood()) for _ in range(8)]
        statuses = [(await me.get("/v1/feed")).status_code for _ in range(50)]

    assert {await task for task in floods} <= {431, BROKEN}
    assert set(statuses) == {200}


async def test_head_has_no_body_on_the_wire(shared: Deployment) -> None:
    """If the response to HEAD had a body, the next response on the same connection could not be
    parsed."""
    async with _client(shared, ME) as me:
        heads = [await me.head(path) for path in ("/v1/feed", "/healthz", "/nothing")]
        get = await me.get("/healthz")

    assert [(head.status_code, head.content) for head in heads] == [(200, b""), (200, b""), (404, b"")]
    assert get.json() == {"status": "ok"}


async def test_sigterm_ends_the_api_in_order(system: DeploymentFactory) -> None:
    """Requests in progress get their response, no response is cut off, and the metrics file is
    removed."""
    deployment = system()
    daemon = deployment.stack.process(f"{deployment.namespace}api")
    metrics_file = daemon.metrics_file
    assert metrics_file.read_text().strip() == urlsplit(deployment.settings.api).netloc
    statuses: list[int] = []

    async def ask_until_gone(me: httpx.AsyncClient) -> None:
        while True:
            try:
                statuses.append((await me.get("/v1/feed")).status_code)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                # The API has closed its listening socket, or this connection before it read the
                # request.
                return

    async with _client(deployment, ME) as me:
        clients = [asyncio.create_task(ask_until_gone(me)) for _ in range(8)]
        await eventually("requests are under way", lambda: _are_enough(statuses))
        await asyncio.to_thread(daemon.stop)
        await asyncio.gather(*clients)

    assert set(statuses) == {200}
    assert not metrics_file.exists()
    assert '"exception"' not in daemon.log_file.read_text()


async def _are_enough(statuses: list[int]) -> bool:
    return len(statuses) >= 50
