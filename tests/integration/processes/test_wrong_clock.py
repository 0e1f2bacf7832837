"""An API whose clock is 20 minutes ahead of its real servers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.servers.probes import http_responds
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.demo.picture import draw
from shutterline.tokens import tokens_for
from tests.integration.conftest import deployments

AHEAD_S = 20 * 60
USER, OTHER = UserId(7_001), UserId(7_002)
NOBODY: dict[str, object] = {"items": [], "next_cursor": None}

# libfaketime is in no package registry, so the process shifts its own clock before it imports anything.
SHIFTED = f"""
import time
ns, s = time.time_ns, time.time
time.time_ns, time.time = (lambda: ns() + {AHEAD_S} * 10**9), (lambda: s() + {AHEAD_S})
from shutterline.app import main
main()
"""


@contextmanager
def api_ahead(stack: Stack, deployment: Deployment, **settings: str) -> Iterator[str]:
    """Start the API with the shifted clock; yields its address once it serves pages."""
    name = f"{deployment.namespace}api"
    environment = {**deployment.environment, "SHUTTERLINE_PROCESS": name, **settings}
    stack.start_process(name, [sys.executable, "-c", SHIFTED, "api"], environment)
    try:
        yield deployment.settings.api
    finally:
        stack.stop_process(name)


async def serves(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/v1/social/following")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """A worker runs, and no API."""
    with deployments(stack) as make:
        made = make()
        made.start_worker()
        yield made


def client_of(deployment: Deployment, address: str, user: UserId) -> httpx.AsyncClient:
    token = tokens_for(deployment.settings)(user)
    return httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=10.0)


async def test_an_api_that_is_ahead_refuses_writes(stack: Stack, deployment: Deployment) -> None:
    """503 with Retry-After for writes; pages are served; /readyz names each store's clock."""
    with api_ahead(stack, deployment) as address:
        async with client_of(deployment, address, USER) as client:
            await eventually("pages are served", lambda: serves(client))
            follow = await client.put(f"/v1/social/follow/{OTHER}")
            upload = await client.post("/v1/photos", json={"content_type": "image/jpeg", "bytes": 9})
            ready = await client.get("/readyz")
            following = await client.get("/v1/social/following")

    assert [response.status_code for response in (follow, upload, ready)] == [503] * 3
    assert all(int(response.headers["Retry-After"]) >= 1 for response in (follow, upload, ready))
    for store in ("cassandra", "redis", "kafka"):
        assert f"s ahead of that of {store}" in ready.json()["detail"]
    assert following.json()["items"] == []


async def test_what_was_dead_lettered_does_not_stay_half_done(stack: Stack, deployment: Deployment) -> None:
    """The limit is so high that an upload and a follow are taken, and their events are from the future: the
    photo is rejected, and the follow is taken back."""
    picture = draw(1, 200).jpegsave_buffer()
    limits = {"SHUTTERLINE_CLOCK_WRITE_DIFFERENCE_MS_MAX": str(10**9)}
    with api_ahead(stack, deployment, **limits) as address:
        async with client_of(deployment, address, USER) as client:
            await eventually("pages are served", lambda: serves(client))
            taken = await client.post("/v1/photos", content=picture, headers={"Content-Type": "image/jpeg"})
            assert taken.status_code == 202, taken.text
            path = f"/v1/photos/{taken.json()['photo_id']}"

            async def rejected() -> bool:
                return bool((await client.get(path)).json().get("status") == "rejected")

            await eventually("the photo is rejected", rejected)
            photo = (await client.get(path)).json()
            assert (await client.put(f"/v1/social/follow/{OTHER}")).status_code == 204

            async def follows_nobody() -> bool:
                return bool((await client.get("/v1/social/following")).json() == NOBODY)

            await eventually("the follow is taken back", follows_nobody)

    assert photo["reason"] == "from_the_future"


async def test_clocks_that_agree_are_ready(deployment: Deployment) -> None:
    """All servers have this machine's clock; Kafka's is known, too."""
    deployment.start_api()
    address = deployment.settings.api.removeprefix("http://")

    assert http_responds(address, "/readyz")
    async with httpx.AsyncClient(base_url=deployment.settings.api) as client:
        text = (await client.get("/metrics")).text
    for store in ("cassandra", "redis", "kafka"):
        [line] = [
            row
            for row in text.splitlines()
            if row.startswith(f'shutterline_clock_ahead_seconds{{store="{store}"')
        ]
        assert abs(float(line.split()[-1])) < 0.5
