"""Rates of users and of addresses, over HTTP."""

import asyncio
import re

import httpx
import pytest
from starlette.routing import Route

from api.auth.admission import client_address
from api.auth.tokens import Caller, TokenVerifier
from api.http.gate import NO_RATE
from bench.traffic.waiting import eventually
from tests.worlds.api import World, another_process, make_world

ONE: dict[str, object] = {"reads_per_s": 1, "reads_burst": 1, "writes_per_s": 1, "writes_burst": 1}
LOW: dict[str, object] = {"reads_per_s": 1, "reads_burst": 20, "writes_per_s": 1, "writes_burst": 10}


def _statuses(responses: list[httpx.Response]) -> list[int]:
    return [response.status_code for response in responses]


@pytest.mark.law("L14")
async def test_each_group_of_routes_has_its_own_rate() -> None:
    """Above the rate: 429, a problem document, Retry-After. Neither the other group nor another user
    notices."""
    world = await make_world(**LOW)
    async with world.client(1) as client, world.client(2) as other:
        reads = [await client.get("/v1/users/2") for _ in range(22)]
        writes = [await client.put("/v1/social/follow/3") for _ in range(6)]
        writes += [await client.delete("/v1/social/follow/3") for _ in range(6)]
        others = [await other.get("/v1/users/2"), await other.put("/v1/social/follow/3")]
        world.clock.ms += 1_000
        later = [await client.get("/v1/users/2") for _ in range(2)]

    assert _statuses(reads) == [200] * 20 + [429] * 2
    assert _statuses(writes) == [204] * 10 + [429] * 2
    assert _statuses(others) == [200, 204]
    assert _statuses(later) == [200, 429]
    assert reads[-1].headers["retry-after"] == "1"
    assert reads[-1].headers["content-type"] == "application/problem+json"
    assert reads[-1].json()["detail"] == "Your token may make 1 reads a second, 20 at once; try again."


@pytest.mark.law("L14")
async def test_every_route_is_limited_by_user_and_by_address() -> None:
    """Of all routes that there are, and one that does not exist: the second request is 429."""
    by_user = await make_world(limits_by_address=False, **ONE)
    by_address = await make_world(**{f"address_{name}": rate for name, rate in ONE.items()})
    routes = [*_routes(by_user), ("GET", "/v1/nothing")]

    assert {path for _, path in routes} >= {
        "/v1/feed",
        "/v1/photos",
        "/v1/social/follow/5",
        "/metrics",
    }
    for number, (method, path) in enumerate(routes, 100):
        async with by_user.client(number, roles=["ops"]) as client:
            own = [await client.request(method, path) for _ in range(2)]
        shared = [
            (await _from(by_address, number, user).request(method, path)) for user in (number, number + 100)
        ]
        for first, second in (own, shared):
            assert (first.status_code != 429, second.status_code) == (True, 429), (method, path)
            assert int(second.headers["retry-after"]) >= 1


def _routes(world: World) -> list[tuple[str, str]]:
    """Return the method and a path of each route that has a rate."""
    return [
        (method, re.sub(r"{.*?}", "5", route.path))
        for route in world.app.routes
        if isinstance(route, Route) and route.path not in NO_RATE
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


def _from(world: World, number: int, user: int) -> httpx.AsyncClient:
    """A client with an address of its own."""
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False, client=(f"10.0.0.{number}", 1))
    headers = {"Authorization": f"Bearer {world.token(user, roles=['ops'])}"}
    return httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)


async def test_an_address_above_its_rate_costs_no_look_at_its_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is refused costs as little as possible: no token is verified, and no store is asked."""
    world = await make_world(address_writes_per_s=1, address_writes_burst=1)

    async def verify(_: TokenVerifier, token: str) -> Caller:
        raise AssertionError(f"{token} was verified")

    async with world.client(1) as client:
        await client.put("/v1/social/follow/3")
        calls = {name: len(switch.calls) for name, switch in world.switches.items()}
        monkeypatch.setattr(TokenVerifier, "verify", verify)
        refused = await client.put("/v1/social/follow/3")

    assert refused.status_code == 429
    assert {name: len(switch.calls) for name, switch in world.switches.items()} == calls


async def test_probes_are_never_limited() -> None:
    """Operators need them most under overload."""
    world = await make_world(reads_per_s=1, reads_burst=1, address_reads_per_s=1, address_reads_burst=1)
    async with world.client(1) as client:
        responses = [await client.get("/healthz") for _ in range(3)]

    assert _statuses(responses) == [200] * 3


async def test_requests_without_a_valid_token_count_by_address() -> None:
    """A user of the same address with a valid token is served as before."""
    world = await make_world(unauthorized_per_s=1, unauthorized_burst=10)
    async with world.client() as nobody, world.client(1) as client:
        missing = [await nobody.get("/v1/feed") for _ in range(6)]
        invalid = [await nobody.put("/v1/photos/1/like", headers=_bearer("no")) for _ in range(3)]
        invalid += [await nobody.get("/metrics") for _ in range(3)]
        served = await client.get("/v1/feed")
        opened = await nobody.get("/openapi.json")

    assert _statuses(missing + invalid) == [401] * 10 + [429] * 2
    assert invalid[-1].headers["retry-after"] == "1"
    assert (served.status_code, opened.status_code) == (200, 200)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_an_address_has_a_rate_unless_the_setting_is_off() -> None:
    """All users of one address share it."""
    rates: dict[str, object] = {"address_reads_per_s": 1, "address_reads_burst": 10}
    limited = await make_world(**rates)
    unlimited = await make_world(limits_by_address=False, **rates)
    statuses: list[list[int]] = []
    for world in (limited, unlimited):
        responses: list[httpx.Response] = []
        for user in range(1, 13):
            async with world.client(user) as client:
                responses.append(await client.get("/v1/users/2"))
        statuses.append(_statuses(responses))

    assert statuses == [[200] * 10 + [429] * 2, [200] * 12]


async def test_a_warm_page_costs_no_call_for_its_rate() -> None:
    """The shared bucket is asked once in a tenth of a burst."""
    world = await make_world(limits_by_address=False)
    async with world.client(1) as client:
        for _ in range(49):
            await client.get("/v1/feed")
        before = len(world.switches["rates"].calls)
        await client.get("/v1/feed")

    assert before == 0
    await eventually("it is asked", lambda: world.switches["rates"].calls)
    assert world.switches["rates"].calls == ["spend"]


async def test_two_processes_share_the_rates() -> None:
    """A burst over both, and one batch more at most."""
    world = await make_world(**LOW)
    second = await another_process(world, **LOW)
    statuses: list[int] = []
    async with world.client(1) as client, second.client(1) as other:
        for _ in range(20):
            statuses += [(await http.get("/v1/users/2")).status_code for http in (client, other)]

    assert 20 <= statuses.count(200) <= 20 + 2 * 2
    assert set(statuses) == {200, 429}


@pytest.mark.law("L8")
async def test_without_redis_a_process_limits_alone() -> None:
    """Losing Redis opens no door and refuses nobody."""
    world = await make_world(**LOW)
    world.fail("redis")
    async with world.client(1) as client:
        responses = [await client.get("/v1/users/2") for _ in range(22)]

    assert _statuses(responses) == [200] * 20 + [429] * 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        ("192.0.2.1", [], 0, "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], 0, "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], 1, "198.51.100.9"),
        ("192.0.2.1", ["203.0.113.7, 198.51.100.9"], 1, "198.51.100.9"),
        ("192.0.2.1", ["203.0.113.7", "198.51.100.9"], 2, "203.0.113.7"),
        ("192.0.2.1", ["198.51.100.9"], 2, "192.0.2.1"),
        ("192.0.2.1", ["no address"], 1, "192.0.2.1"),
        ("2001:db8:1:2:3::4", [], 0, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], 0, "192.0.2.1"),
        ("192.0.2.1", ["::ffff:198.51.100.9"], 1, "198.51.100.9"),
        ("192.0.2.1", ["198.51.100.9:5678"], 1, "198.51.100.9"),
        ("192.0.2.1", ["[2001:db8:1:2:3::4]:5678"], 1, "2001:db8:1:2::/64"),
        ("192.0.2.1", ["[2001:db8:1:2:3::4]"], 1, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], 0, "fe80::/64"),
        (None, [], 0, None),
    ],
)
def test_the_client_is_whom_our_own_proxies_name(
    peer: str | None, forwarded: list[str], trusted: int, client: str | None
) -> None:
    """Entries that the client invented come first, and are not believed."""
    scope = {
        "type": "http",
        "client": None if peer is None else (peer, 1),
        "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
    }

    assert client_address(scope, trusted) == client


async def test_a_request_above_its_rate_is_refused_after_a_while() -> None:
    """A client that repeats it at once cannot do so hundreds of times a second. Others do not wait."""
    world = await make_world(reads_per_s=1, reads_burst=1, rate_refusal_delay_ms=50)
    loop = asyncio.get_running_loop()
    async with world.client(1) as me, world.client(2) as other:
        await me.get("/v1/feed")
        began_s = loop.time()
        refused = asyncio.create_task(me.get("/v1/feed"))
        served = await other.get("/v1/feed")
        is_waiting = not refused.done()
        status = (await refused).status_code

    assert (served.status_code, is_waiting, status) == (200, True, 429)
    assert loop.time() - began_s >= 0.05
