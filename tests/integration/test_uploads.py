"""Uploads over HTTP on real servers: raw requests, stored bytes, races, and stores that are
unavailable."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import ID_MAX, PhotoId, UserId
from shutterline.tokens import mint_token
from streams.core.object_keys import ObjectKeys
from streams.ports.groups import Stores
from streams.roles import Role
from streams.stores.connect import connect

JPEG = "image/jpeg"
PART_BYTES = 5 * 1_048_576
DEADLINE_S = 30.0
REQUEST_S_MAX = 2.0  # settings.request_deadline_ms
SLACK_S = 1.5  # Two busy cores run all servers and this test.


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """A deployment with an API but without workers, and with a high upload limit."""
    environment = {"SHUTTERLINE_UPLOADS_PER_MINUTE": "1000", "SHUTTERLINE_UPLOAD_IDLE_S_MAX": "2"}
    made = Deployment(stack, f"t{uuid4().hex[:8]}.", environment)
    made.prepare()
    made.start_api()
    yield made
    made.stop()


@pytest.fixture
async def stores(deployment: Deployment) -> AsyncIterator[Stores]:
    async with connect(deployment.settings, timeout_ms=10_000) as connected:
        yield connected


_users = iter(range(1, 1_000_000))


@pytest.fixture
def user() -> UserId:
    """A user without uploads."""
    return UserId(next(_users))


@asynccontextmanager
async def client_of(deployment: Deployment, user: UserId) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {mint_token(deployment.settings, user)}"}
    async with httpx.AsyncClient(base_url=deployment.settings.api, headers=headers, timeout=30) as client:
        yield client


async def send(client: httpx.AsyncClient, content: Any, key: str | None = None) -> httpx.Response:
    headers = {"Content-Type": JPEG, **({} if key is None else {"Idempotency-Key": key})}
    return await client.post("/v1/photos", content=content, headers=headers)


async def start(client: httpx.AsyncClient, size_bytes: int, key: str | None = None) -> httpx.Response:
    body = {"content_type": JPEG, "bytes": size_bytes}
    return await client.post("/v1/photos", json=body, headers={} if key is None else {"Idempotency-Key": key})


async def put(signed: dict[str, Any], body: bytes) -> int:
    """Send a signed request with a plain HTTP client."""
    headers = {name: value for name, value in signed["headers"].items() if name != "Content-Length"}
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.put(signed["url"], content=body, headers=headers)).status_code


def key_of(deployment: Deployment, photo: object) -> str:
    return ObjectKeys(deployment.settings.object_prefix).original(PhotoId(int(str(photo))))


async def originals(deployment: Deployment, stores: Stores) -> set[str]:
    prefix = f"{deployment.settings.object_prefix}originals/"
    return {stored.object_key for stored in await stores.media_objects.list(prefix, limit=1_000)}


async def left(deployment: Deployment, stores: Stores, user: UserId) -> tuple[list[PhotoId], list[str]]:
    """Return what the user has unfinished: rows of uploads, and unfinished multipart uploads that
    belong to no other user."""
    rows = [row async for row in stores.uploads.all()]
    others = {row.object_key for row in rows if row.author_id != user}
    parts = await stores.media_uploads.unfinished(deployment.settings.object_prefix)
    unfinished = [upload.object_key for upload in parts if upload.object_key not in others]
    return [row.photo_id for row in rows if row.author_id == user], unfinished


async def own_photos(stores: Stores, user: UserId) -> list[int]:
    photos = await stores.author_photos.newest([user], below=ID_MAX, each_max=100)
    return [photo.photo_id for photo in photos[user]]


def image(size_bytes: int) -> bytes:
    return os.urandom(1_024) * (size_bytes // 1_024) + b"x" * (size_bytes % 1_024)


class Timed:
    """A body that is sent in pieces without a stated length; records when its last byte was
    sent."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.ended_s = 0.0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self._body), 65_536):
            yield self._body[place : place + 65_536]
        self.ended_s = time.monotonic()


@pytest.mark.parametrize("size_bytes", [1, 5_000_000, PART_BYTES, PART_BYTES + 1, 25_000_000])
async def test_an_image_as_the_body_is_in_the_pipeline_when_it_is_answered(
    deployment: Deployment, stores: Stores, user: UserId, size_bytes: int
) -> None:
    """When the response arrives, the bytes are in the bucket. The author's next request shows the
    photo; other users do not see it."""
    body = image(size_bytes)
    timed = Timed(body)
    async with client_of(deployment, user) as me, client_of(deployment, UserId(user + 1)) as other:
        answer = await send(me, timed)
        took_s = time.monotonic() - timed.ended_s
        photo = answer.json()["photo_id"]
        shown = await me.get(f"/v1/photos/{photo}")
        listed = (await me.get("/v1/feed")).json()["items"]
        others = await other.get(f"/v1/photos/{photo}")
    print(f"\n{size_bytes:,} bytes: answered {took_s * 1_000:.0f} ms after the last byte")

    assert (answer.status_code, shown.json()["status"], others.status_code) == (202, "processing", 404)
    assert [item["photo_id"] for item in listed] == [photo]
    assert took_s < REQUEST_S_MAX + SLACK_S
    assert await stores.media_objects.read(key_of(deployment, photo), bytes_max=size_bytes) == body
    assert await left(deployment, stores, user) == ([], [])


async def test_a_signed_put_is_for_these_bytes_alone(
    deployment: Deployment, stores: Stores, user: UserId
) -> None:
    """A body of another length is refused. After one successful PUT a second is refused, and the
    upload can be completed."""
    body = image(300_000)
    async with client_of(deployment, user) as me:
        started = (await start(me, len(body))).json()
        photo, upload = started["photo_id"], started["upload"]
        early = await me.post(f"/v1/photos/{photo}/complete")
        statuses = [await put(upload, content) for content in (body[:-1], body + b"x", body, image(300_000))]
        completed = [(await me.post(f"/v1/photos/{photo}/complete")).status_code for _ in range(2)]
        shown = await me.get(f"/v1/photos/{photo}")

    assert (early.status_code, statuses, completed) == (409, [403, 403, 200, 412], [202, 202])
    assert shown.json()["status"] == "processing"
    assert await stores.media_objects.read(key_of(deployment, photo), bytes_max=400_000) == body


async def test_parts_go_on_after_connections_were_cut(
    deployment: Deployment, stores: Stores, user: UserId
) -> None:
    """A part that was cut off has not arrived and must be sent again. Parts that have arrived need
    not be sent again."""
    body = image(2 * PART_BYTES + 12_345)
    async with client_of(deployment, user) as me:
        started = (await start(me, len(body), key="k")).json()
        photo, parts = started["photo_id"], started["upload"]["parts"]
        assert await put(parts[1], body[PART_BYTES : 2 * PART_BYTES]) == 200
        await _cut(parts[0], body[: PART_BYTES // 2])
        early = await me.post(f"/v1/photos/{photo}/complete")
        resumed = (await start(me, len(body), key="k")).json()
        assert [part["arrived"] for part in resumed["upload"]["parts"]] == [False, True, False]
        for part in (await me.get(f"/v1/photos/{photo}/upload")).json()["upload"]["parts"]:
            start_byte = (part["number"] - 1) * PART_BYTES
            if not part["arrived"]:
                assert await put(part, body[start_byte : start_byte + PART_BYTES]) == 200
        completed = await asyncio.gather(*(me.post(f"/v1/photos/{photo}/complete") for _ in range(4)))

    assert (early.status_code, resumed["photo_id"]) == (409, photo)
    assert [answer.status_code for answer in completed] == [202] * 4
    assert await stores.media_objects.read(key_of(deployment, photo), bytes_max=len(body)) == body
    assert await left(deployment, stores, user) == ([], [])


async def _cut(signed: dict[str, Any], content: bytes) -> None:
    """Send fewer bytes than stated, then close the connection."""
    place = urlsplit(signed["url"])
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    lines = [f"PUT {place.path}?{place.query} HTTP/1.1", f"Host: {place.netloc}"]
    lines += [f"{name}: {value}" for name, value in signed["headers"].items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.law("L10")
@pytest.mark.parametrize("way", ["signed", "parts", "body", "body in parts"])
async def test_racing_requests_with_one_key_are_one_photo(
    deployment: Deployment, stores: Stores, user: UserId, way: str
) -> None:
    """One runs at a time, the others are 409. A repeat is the same photo; nothing of the losers
    remains."""
    body = image(100_000 if way in ("signed", "body") else PART_BYTES + 100_000)
    before = await originals(deployment, stores)
    async with client_of(deployment, user) as me:

        async def ask() -> tuple[int, str]:
            answer = await (start(me, len(body), "k") if way in ("signed", "parts") else send(me, body, "k"))
            return answer.status_code, answer.json().get("photo_id", "")

        answers = await asyncio.gather(*(ask() for _ in range(6)))
        status, photo = await ask()
    rows, _ = await left(deployment, stores, user)

    assert status == (201 if way in ("signed", "parts") else 202)
    assert (status, photo) in answers
    assert set(answers) <= {(status, photo), (409, "")}
    assert rows == ([int(photo)] if status == 201 else [])
    assert await own_photos(stores, user) == ([int(photo)] if status == 202 else [])
    made = await originals(deployment, stores) - before
    assert made == ({key_of(deployment, photo)} if status == 202 else set())


@pytest.mark.law("L10")
async def test_a_client_that_goes_away_leaves_nothing(
    deployment: Deployment, stores: Stores, user: UserId
) -> None:
    """Or one that stops sending: no row, no object, no part."""
    before = await originals(deployment, stores)
    for size_bytes, stays in ((100_000, False), (2 * PART_BYTES, False), (PART_BYTES + 70_000, True)):
        reader, writer = await _half_sent(deployment, user, size_bytes)
        if stays:
            status = await asyncio.wait_for(reader.readline(), DEADLINE_S)
            while b" 429 " in status:  # The API has not noticed yet that the two before went away.
                writer.close()
                await writer.wait_closed()
                reader, writer = await _half_sent(deployment, user, size_bytes)
                status = await asyncio.wait_for(reader.readline(), DEADLINE_S)
            assert b" 408 " in status
        writer.close()
        await writer.wait_closed()

    async def nothing_is_left() -> bool:
        return await left(deployment, stores, user) == ([], [])

    await eventually("nothing is left of the uploads", nothing_is_left)
    assert await originals(deployment, stores) == before
    assert await own_photos(stores, user) == []


async def _half_sent(
    deployment: Deployment, user: UserId, size_bytes: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request that states one byte more than it sends."""
    reader, writer = await _opened(deployment, user, f"Content-Length: {size_bytes + 1}")
    writer.write(b"x" * size_bytes)
    await writer.drain()
    return reader, writer


async def _opened(
    deployment: Deployment, user: UserId, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(deployment.settings.api)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    lines = [
        "POST /v1/photos HTTP/1.1",
        f"Host: {place.netloc}",
        f"Authorization: Bearer {mint_token(deployment.settings, user)}",
        f"Content-Type: {JPEG}",
        *headers,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return reader, writer


@pytest.mark.parametrize("size_bytes", [25_000_001, 40_000_000])
@pytest.mark.parametrize("is_stated", [True, False])
async def test_who_sends_too_much_reads_why(
    deployment: Deployment, user: UserId, size_bytes: int, is_stated: bool
) -> None:
    """A client that still sends its body reads the 413, whether it stated the length or not."""
    body = b"x" * size_bytes
    async with client_of(deployment, user) as me:
        answer = await send(me, body if is_stated else Timed(body))
        other = await me.post("/v1/photos", content=body, headers={"Content-Type": "image/gif"})

    assert (answer.status_code, "25000000" in answer.json()["detail"]) == (413, True)
    assert other.status_code in (413, 415)


async def test_who_asks_first_need_not_send(deployment: Deployment, user: UserId) -> None:
    """With `Expect: 100-continue` a body that is too large is refused before its first byte. A good
    request gets 100 and sends its body."""
    refused, one = await _opened(deployment, user, "Content-Length: 25000001", "Expect: 100-continue")
    status = await asyncio.wait_for(refused.readline(), DEADLINE_S)
    one.close()
    taken, two = await _opened(deployment, user, "Content-Length: 5", "Expect: 100-continue")
    going_on = await asyncio.wait_for(taken.readuntil(b"\r\n\r\n"), DEADLINE_S)
    two.write(b"12345")
    accepted = await asyncio.wait_for(taken.readline(), DEADLINE_S)
    two.close()

    assert (b" 413 " in status, b" 100 " in going_on, b" 202 " in accepted) == (True, True, True)


async def test_no_odd_request_is_a_server_error(deployment: Deployment, user: UserId) -> None:
    """Malformed requests get a 4xx status or a closed connection. Afterwards the API still
    works."""
    odd: list[tuple[list[str], bytes]] = [
        (["Content-Length: 5", "Content-Length: 6"], b"12345"),
        (["Content-Length: -5"], b"12345"),
        (["Content-Length: 1e3"], b"12345"),
        (["Content-Length: 99999999999999999999"], b"12345"),
        (["Transfer-Encoding: chunked"], b"zz\r\n12345\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"5\r\n12345\r\n0\r\n\r\n"),
        (["Transfer-Encoding: gzip"], b"12345"),
        (["Idempotency-Key: \xff\xfe", "Content-Length: 5"], b"12345"),
        (["Idempotency-Key: ", "Content-Length: 5"], b"12345"),
        (["Content-Type: image/png", "Content-Length: 5"], b"12345"),
    ]
    statuses = {}
    for headers, content in odd:
        reader, writer = await _opened(deployment, user, *headers)
        writer.write(content)
        line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        statuses[str(headers)] = int(line.split()[1]) if line else 400
        writer.close()
    async with client_of(deployment, user) as me:
        alive = (await me.get("/healthz")).status_code

    assert {what: status for what, status in statuses.items() if not 400 <= status < 500} == {}
    assert alive == 200


@pytest.mark.parametrize("way", ["signed", "body"])
async def test_without_kafka_nothing_is_begun(
    deployment: Deployment, stores: Stores, stack: Stack, user: UserId, way: str
) -> None:
    """The request gets 503 with Retry-After, and no row and no claimed key remain. /readyz names
    Kafka. When Kafka is back, uploads succeed."""
    before = await originals(deployment, stores)
    kafka = stack.server("kafka")
    async with client_of(deployment, user) as me:

        async def begin() -> httpx.Response:
            return await (start(me, 5, "k") if way == "signed" else send(me, b"12345", "k"))

        kafka.pause()
        try:
            # The API uses the last result of the Kafka probe for one second.
            await eventually("Kafka is missed", lambda: _is_unready(me, "kafka"))
            began = time.monotonic()
            refused = [await begin() for _ in range(3)]
            took_s = (time.monotonic() - began) / 3
        finally:
            kafka.resume()
        remains = await left(deployment, stores, user)
        claimed = await stores.uploads.claimed(user, "k")

        async def goes_on() -> bool:
            return (await begin()).status_code in (201, 202)

        await eventually("uploads are taken again", goes_on)

    assert [(answer.status_code, "retry-after" in answer.headers) for answer in refused] == [(503, True)] * 3
    assert took_s < REQUEST_S_MAX + SLACK_S
    assert (remains, claimed) == (([], []), None)
    assert len(await originals(deployment, stores) - before) == (way == "body")


async def _is_unready(client: httpx.AsyncClient, store: str) -> bool:
    answer = await client.get("/readyz")
    return answer.status_code == 503 and store in answer.text


async def test_without_s3_no_body_is_taken(
    deployment: Deployment, stores: Stores, stack: Stack, user: UserId
) -> None:
    """The request gets 503 with Retry-After. When S3 is back, uploads succeed."""
    s3 = stack.server("s3")
    async with client_of(deployment, user) as me:
        s3.kill()
        try:
            refused = [await send(me, image(size)) for size in (1_000, PART_BYTES + 1)]
            refused.append(await start(me, PART_BYTES + 1))
        finally:
            s3.start()
            await asyncio.to_thread(s3.wait_ready)

        async def goes_on() -> bool:
            return (await send(me, b"12345")).status_code == 202

        await eventually("bodies are taken again", goes_on)

    assert [(answer.status_code, "retry-after" in answer.headers) for answer in refused] == [(503, True)] * 3
    assert len(await own_photos(stores, user)) == 1


async def test_a_long_queue_refuses_uploads_until_it_is_shorter(
    deploy: Callable[..., Deployment], user: UserId
) -> None:
    """No worker makes renditions, so the queue grows. Above the limit both kinds of upload get 503
    with Retry-After."""
    deployment = deploy(renditions_queued_max=3, uploads_per_minute=1_000)
    deployment.start_all({"worker-1": [Role.CHECK]})
    async with client_of(deployment, user) as me:
        taken = [(await send(me, b"12345")).status_code for _ in range(4)]

        async def is_refused() -> bool:
            answer = await start(me, 5)
            assert answer.status_code in (201, 503)
            return answer.status_code == 503

        await eventually("the queue is too long", is_refused)
        refused = [await start(me, 5), await send(me, b"12345")]

    assert taken == [202] * 4
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "10")] * 2
    assert "renditions" in refused[0].json()["detail"]


async def test_the_limit_is_counted_over_processes(deploy: Callable[..., Deployment], user: UserId) -> None:
    """A user may begin 5 uploads a minute over both API processes together. The sixth gets 429 with
    Retry-After."""
    deployment = deploy()
    deployment.start_api()
    first = deployment.settings.api
    second = f"http://127.0.0.1:{urlsplit(first).port + 1}"  # type: ignore[operator]  # It has one.
    other = Deployment(deployment.stack, deployment.namespace, {"SHUTTERLINE_API": second})
    other.start_api("api-2")
    try:
        async with client_of(deployment, user) as me, client_of(other, user) as also_me:
            answers = [await start(client, 5) for client in (me, also_me) * 3]
    finally:
        other.stop()

    assert [answer.status_code for answer in answers] == [201] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert len({answer.json()["photo_id"] for answer in answers[:5]}) == 5
