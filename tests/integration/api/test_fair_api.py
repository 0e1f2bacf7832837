"""Attacks of one user on a real API process, and what another user notices of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.tokens import mint_token

DEADLINE_S = 30.0
_users = iter(range(1, 1_000))


@pytest.fixture
def attacker() -> UserId:
    """A user who has not spent anything."""
    return UserId(next(_users))


@pytest.fixture
def user() -> UserId:
    """Another one."""
    return UserId(next(_users))


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """A deployment with an API but without workers."""
    made = Deployment(stack, f"t{uuid4().hex[:8]}.", {})
    made.prepare()
    made.start_api()
    yield made
    made.stop()


@asynccontextmanager
async def _client(deployment: Deployment, user: UserId) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {mint_token(deployment.settings, user)}"}
    async with httpx.AsyncClient(base_url=deployment.settings.api, headers=headers, timeout=10) as client:
        yield client


async def _begin(
    deployment: Deployment, attacker: UserId, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the head of a POST and one byte of its body."""
    api = urlsplit(deployment.settings.api)
    reader, writer = await asyncio.open_connection(api.hostname, api.port)
    token = mint_token(deployment.settings, attacker)
    head = ["POST /v1/photos HTTP/1.1", f"Host: {api.netloc}", f"Authorization: Bearer {token}", *headers]
    writer.write("\r\n".join([*head, "", ""]).encode() + b"{")
    return reader, writer


async def _pages(deployment: Deployment, user: UserId, count: int) -> tuple[set[int], float]:
    """Read pages of another user; return the statuses, and the 99th percentile in milliseconds."""
    statuses, took_ms = set(), []
    async with _client(deployment, user) as other:
        for _ in range(count):
            began_s = time.monotonic()
            statuses.add((await other.get("/v1/feed")).status_code)
            took_ms.append((time.monotonic() - began_s) * 1_000)
    return statuses, sorted(took_ms)[int(count * 0.99)]


@pytest.mark.law("L14")
@pytest.mark.parametrize(
    ("connections", "headers"),
    [
        (540, ("Content-Type: application/json", "Content-Length: 40")),
        (540, ("Content-Type: image/jpeg", "Content-Length: 40")),
        (16, ("Content-Type: image/jpeg", "Content-Length: 20000000", "Idempotency-Key: k")),
    ],
)
async def test_slow_bodies_of_one_user_shut_out_nobody(
    deployment: Deployment, attacker: UserId, user: UserId, connections: int, headers: tuple[str, ...]
) -> None:
    """Another user reads pages and uploads meanwhile, and none of it is refused."""
    _, before_ms = await _pages(deployment, user, 100)
    attack = await asyncio.gather(*(_begin(deployment, attacker, *headers) for _ in range(connections)))
    statuses, during_ms = await _pages(deployment, user, 100)
    async with _client(deployment, user) as other:
        uploads = [
            await other.post("/v1/photos", json={"content_type": "image/jpeg", "bytes": 5}),
            await other.post("/v1/photos", content=b"x" * 5, headers={"Content-Type": "image/jpeg"}),
        ]
    async with asyncio.timeout(DEADLINE_S):
        ends = [(await reader.readline()).split()[1] for reader, _ in attack]
    for _, writer in attack:
        writer.close()
    print(f"\n{connections} connections: p99 {before_ms:.0f} ms before, {during_ms:.0f} ms meanwhile")

    assert (statuses, [upload.status_code for upload in uploads]) == ({200}, [201, 202])
    assert set(ends) <= {b"408", b"409", b"429"}


async def test_a_user_above_the_rate_is_429_and_others_are_served(
    deployment: Deployment, attacker: UserId, user: UserId
) -> None:
    """With the defaults: 200 writes at once, then 20 a second."""
    async with _client(deployment, attacker) as me, _client(deployment, user) as other:
        began_s = time.monotonic()
        writes: list[httpx.Response] = []
        while len(writes) < 400:  # A refusal takes half a second, so some are sent together.
            writes += await asyncio.gather(*(me.delete("/v1/photos/5/like") for _ in range(20)))
        took_s = time.monotonic() - began_s
        served = await other.delete("/v1/photos/5/like")
    allowed = sum(response.status_code != 429 for response in writes)
    refused = next(response for response in writes if response.status_code == 429)

    assert 200 <= allowed <= 200 + 20 * (took_s + 1)
    assert served.status_code == 404
    assert int(refused.headers["retry-after"]) >= 1
