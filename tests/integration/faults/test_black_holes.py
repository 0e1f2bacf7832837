"""Peers that vanish without closing their connections, as behind a router that has forgotten them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from bench.traffic.slow_proxy import SlowProxy
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PackedIds, PhotoId, UserId, pack_ids
from streams.errors import StoreUnavailable
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.connect import connect
from tests.integration.conftest import deployments

TIMEOUT_MS = 2_000
AT_ONCE = 8
# A busy machine may be late.
LATE_S_MAX = 1.0
# Cassandra's driver looks for dead connections every 2 s, and then connects again.
RECOVERY_S_MAX = {"redis": 3.0, "s3": 3.0, "cassandra": 15.0}
PREFIX = {"redis": "redis://", "s3": "http://", "cassandra": ""}


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    with deployments(stack) as make:
        yield make()


@pytest.fixture
async def proxied(
    deployment: Deployment, stack: Stack, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Stores, SlowProxy]]:
    """Stores, with a proxy in front of one of them."""
    store = request.param
    port = stack.port(store)
    assert port is not None
    with SlowProxy(port) as proxy:
        settings = deployment.settings.model_copy(
            update={
                store: f"{PREFIX[store]}127.0.0.1:{proxy.port}",
                "media_look_timeout_ms": TIMEOUT_MS,
            }
        )
        async with connect(settings, timeout_ms=TIMEOUT_MS) as stores:
            yield stores, proxy


def operation(stores: Stores, store: str) -> Callable[[], Awaitable[object]]:
    if store == "redis":
        owners = PackedIds(pack_ids([UserId(1)]))
        return lambda: stores.timelines.append([PhotosForOwners((PhotoId(1),), owners)])
    return (lambda: stores.media_objects.size("a")) if store == "s3" else stores.pulled_authors.all


@pytest.mark.parametrize(
    ("proxied", "store"), [(store, store) for store in PREFIX], indirect=["proxied"], ids=list(PREFIX)
)
async def test_no_request_meets_a_dead_connection_after_the_recovery(
    proxied: tuple[Stores, SlowProxy], store: str
) -> None:
    """While the peer is away requests meet their deadline. From the first success on, all succeed, although
    the pool was full of dead connections that nobody closed."""
    stores, proxy = proxied
    run = operation(stores, store)
    await asyncio.gather(*(run() for _ in range(AT_ONCE)))
    proxy.swallow()
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await run()
    took_s = time.monotonic() - began_s
    proxy.restore()

    async def succeeds() -> bool:
        try:
            await run()
        except StoreUnavailable:
            return False
        return True

    recovered_s = await eventually("a request succeeds", succeeds, deadline_s=RECOVERY_S_MAX[store])
    print(f"{store}: the deadline was met after {took_s:.1f} s, recovered after {recovered_s:.1f} s")
    for _ in range(3):
        await asyncio.gather(*(run() for _ in range(AT_ONCE)))
    assert took_s < TIMEOUT_MS / 1_000 + LATE_S_MAX
