"""If a pooled connection was closed while idle, no operation fails because of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from bench.traffic.events import fresh_users
from bench.traffic.readers import client_of
from bench.traffic.slow_proxy import SlowProxy
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PackedIds, PhotoId, UserId, pack_ids
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.connect import connect

TIMEOUT_MS = 2_000
ROUNDS = 10
AT_ONCE = 8


@pytest.fixture
async def proxied(
    shared: Deployment, stack: Stack, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Stores, SlowProxy]]:
    """Stores, with a proxy in front of one store."""
    store = request.param
    port = stack.port(store)
    assert port is not None
    with SlowProxy(port) as proxy:
        scheme, path = {"redis": ("redis://", "/0"), "s3": ("http://", "")}[store]
        settings = shared.settings.model_copy(update={store: f"{scheme}127.0.0.1:{proxy.port}{path}"})
        async with connect(settings, timeout_ms=TIMEOUT_MS) as stores:
            yield stores, proxy


def operations(stores: Stores, store: str) -> list[Callable[[], Awaitable[object]]]:
    if store == "redis":
        owners = PackedIds(pack_ids([UserId(1)]))
        return [
            lambda: stores.timelines.append([PhotosForOwners((PhotoId(1),), owners)]),
            stores.redis_probe.check,
        ]
    media = stores.media_objects
    return [
        stores.s3_probe.check,
        lambda: media.read("readyz", bytes_max=9),
        lambda: media.put("a", b"b", content_type="image/jpeg"),
        lambda: stores.media_uploads.begin_parts("idle", content_type="image/jpeg"),
    ]


@pytest.mark.parametrize(
    ("proxied", "store"),
    # Cassandra is not tested: its driver has one connection to each node, and reconnects by itself
    # if it was closed.
    [(store, store) for store in ("redis", "s3")],
    indirect=["proxied"],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_was_cut_while_idle_costs_nothing(
    proxied: tuple[Stores, SlowProxy], store: str, reset: bool
) -> None:
    """Nothing was sent on the closed connection, so the operation can run on a new one."""
    stores, proxy = proxied
    for _ in range(ROUNDS):
        for run in operations(stores, store):
            await asyncio.gather(*(run() for _ in range(AT_ONCE)))
            await asyncio.to_thread(proxy.cut, reset=reset)


async def test_requests_after_killed_connections_are_served(shared: Deployment, stack: Stack) -> None:
    """CLIENT KILL closes every Redis connection of the API before each request. No request gets
    503."""
    users = fresh_users(ROUNDS + 1)
    statuses = []
    with redis.Redis(port=stack.server("redis").port) as direct:
        async with client_of(shared) as client:

            async def ask(method: str, path: str, user: UserId, body: object = None) -> None:
                headers = {"Authorization": f"Bearer {client.token_of(user)}"}
                url = f"{client.api}{path}"
                async with client.http.request(method, url, headers=headers, json=body) as response:
                    statuses.append(response.status)
                direct.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

            for user in users[1:]:  # A user may begin only a few uploads a minute.
                await ask("POST", "/v1/photos", user, {"content_type": "image/jpeg", "bytes": 1_000})
                await ask("PUT", f"/v1/social/follow/{users[0]}", user)
                await ask("GET", "/v1/feed", user)

    assert set(statuses) <= {200, 201, 202, 204}
