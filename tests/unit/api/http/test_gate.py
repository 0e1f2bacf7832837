"""The bounds of every request, its metrics, and the probes."""

import asyncio
from functools import partial
from http import HTTPStatus
from time import monotonic

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.http.gate import ARRIVED_S
from api.http.problems import Problem, problem_response, unavailable
from bench.traffic.waiting import eventually
from tests.unit.api.http.wire import App, make_gate
from tests.worlds.api import World, make_world


class _Stuck:
    """A database whose reads of followees and of their count wait until `go` is set; counts the waiting
    reads."""

    def __init__(self, world: World) -> None:
        self.waiting = 0
        self.go = asyncio.Event()
        for method in ("following_rows", "following_counts"):
            # The database hangs.
            setattr(world.switches["outgoing_edges"], method, partial(self._stuck, world, method))

    async def _stuck(self, world: World, method: str, *args: object) -> object:
        self.waiting += 1
        await self.go.wait()
        return await getattr(world.memory.outgoing_edges, method)(*args)


@pytest.mark.law("L14")
async def test_a_request_ends_within_its_deadline() -> None:
    """Law: every request ends within its deadline; a late one is 503 with Retry-After."""
    world = await make_world(request_deadline_ms=30)
    _Stuck(world)
    async with world.client(1) as client:
        response = await client.get("/v1/users/2")

    assert response.json()["detail"] == "No answer within 0.03 s; try again."
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.law("L14")
async def test_the_deadline_of_a_request_ends_its_calls_of_stores() -> None:
    """Nothing goes on for a request that was answered: no call, no shared read, and no slot is held."""
    world = await make_world(request_deadline_ms=30, limits_by_address=False, database_reads_in_flight_max=2)
    hanging: set[str] = set()
    for name in ("outgoing_edges", "photos", "counted_sets", "cache"):
        for method in {"following_counts", "get", "summaries"}:
            if hasattr(getattr(world.memory, name), method):
                setattr(world.switches[name], method, partial(_hang, hanging, f"{name} {method}"))
    hangs = set()
    async with world.client(1) as client:
        for path in ("/v1/photos/5", "/v1/users/2"):
            asking = asyncio.create_task(client.get(path))
            await eventually("a call", lambda: hanging)
            hangs |= hanging
            assert (await asking).status_code == 503
            await eventually("the end of the calls", lambda: not hanging)

    assert hangs >= {"cache get"}
    assert world.services.photos.reads.through.reads._slots.in_use == 0


async def _hang(hanging: set[str], name: str, *_: object) -> None:
    hanging.add(name)
    try:
        await asyncio.Event().wait()
    finally:
        hanging.discard(name)


async def test_a_late_request_returns_after_those_that_were_rejected_before() -> None:
    """Its Retry-After is a slot of the same queue: it does not come between clients that wait longer."""
    world = await make_world(requests_in_flight_max=1, request_deadline_ms=500, limits_by_address=False)
    stuck = _Stuck(world)
    async with world.client(1) as client, world.client(2) as other:
        held = asyncio.create_task(client.get("/v1/users/3"))
        await eventually("a request to be under way", lambda: stuck.waiting == 1)
        rejected = [await other.get("/v1/users/4") for _ in range(12)]
        late = await held

    # One in flight for half a second at most is two a second, of which twice as many are booked.
    assert int(rejected[-1].headers["retry-after"]) == 3
    assert (late.status_code, late.headers["retry-after"]) == (503, "3")


@pytest.mark.law("L14")
async def test_requests_over_the_limit_are_rejected_at_once() -> None:
    """503 without waiting, each with its own Retry-After. Probes and metrics still work, and the limit is
    free again afterwards."""
    world = await make_world(requests_in_flight_max=2, request_deadline_ms=2_000, limits_by_address=False)
    stuck = _Stuck(world)
    async with world.client(1, roles=["ops"]) as client, world.client(2) as other:
        held = [
            asyncio.create_task(http.get(path))
            for http, path in ((client, "/v1/users/3"), (other, "/v1/users/5"))
        ]
        await eventually("two requests to be under way", lambda: stuck.waiting == 2)
        rejected = [await client.get("/v1/users/4") for _ in range(8)]
        probed = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
        stuck.go.set()
        statuses = [(await task).status_code for task in held]
        later = await client.get("/v1/users/4")

    retry_after_s = [int(response.headers["retry-after"]) for response in rejected]
    assert {response.status_code for response in rejected} == {503}
    # Two requests in flight of at most 2 s each are one request a second, so eight clients that are
    # rejected at once are spread over several seconds.
    assert (retry_after_s[0], retry_after_s) == (1, sorted(retry_after_s))
    assert retry_after_s[-1] > 2
    assert (probed, statuses, later.status_code) == ([200, 200, 200], [200, 200], 200)


@pytest.mark.law("L14")
async def test_a_full_process_refuses_before_it_verifies_a_token() -> None:
    """What is refused costs as little as possible, because then thousands may come at once."""
    world = await make_world(requests_in_flight_max=1)
    stuck = _Stuck(world)
    async with world.client(1) as client, world.client() as unknown:
        assert (await unknown.get("/v1/users/2")).status_code == 401
        held = asyncio.create_task(client.get("/v1/users/2"))
        await eventually("a request under way", lambda: stuck.waiting)
        assert (await unknown.get("/v1/users/2")).status_code == 503
        assert (await unknown.get("/healthz")).status_code == 200
        stuck.go.set()
        await held


@pytest.mark.parametrize("path", ["/ops", "/ops/lag", "/ops/events", "/ops/tables/lanes.json"])
async def test_operators_see_a_full_process(path: str) -> None:
    """Their pages are needed most then."""
    app = App()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_gate(app)), base_url="http://api.test"
    ) as client:
        held = asyncio.create_task(client.get("/held"))
        await eventually("a request under way", lambda: app.seen)
        assert 503 == (await client.get("/v1/feed")).status_code
        assert 200 == (await client.get(path)).status_code
        app.go.set()
        await held

    assert ["/held", path] == app.seen


@pytest.mark.law("L14")
async def test_the_wait_for_the_event_loop_counts_towards_the_deadline() -> None:
    gate = make_gate(_never, deadline_s=60.0)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], ARRIVED_S: monotonic() - 61}
    async with asyncio.timeout(30):
        await gate(scope, _never_received, send)
    assert sent[0]["status"] == 503


async def _never(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def _never_received() -> Message:
    return await asyncio.Future()


async def test_database_reads_are_bounded() -> None:
    """If no slot for a read becomes free in time, the page is 503; it does not wait longer."""
    world = await make_world(database_reads_in_flight_max=1, request_deadline_ms=1_000)
    world.fail("redis")
    stuck = _Stuck(world)
    async with world.client(1) as client:
        first = asyncio.create_task(client.get("/v1/feed"))
        await eventually("the first to read", lambda: stuck.waiting == 1)
        second = await client.get("/v1/feed")
        stuck.go.set()
        await first

    assert (second.status_code, second.headers["retry-after"]) == (503, "1")


async def test_a_bug_is_500_and_a_problem_document() -> None:
    """The problem says that it is our fault, and nothing about the cause."""
    world = await make_world()

    async def broken(*args: object) -> object:
        raise RuntimeError("a secret cause")

    world.switches["outgoing_edges"].following_counts = broken  # type: ignore[attr-defined]  # A bug.
    async with world.client(1) as client:
        response = await client.get("/v1/users/2")

    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in response.text


def _count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("shutterline_http_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_never_by_id() -> None:
    """The label is the route's template. All unknown paths share one label, and all unknown methods
    another."""
    world = await make_world()
    counted = [
        ("GET", "/v1/users/{user_id}", HTTPStatus.OK),
        ("GET", "/v1/feed", HTTPStatus.OK),
        ("GET", "unmatched", HTTPStatus.NOT_FOUND),
        ("other", "/v1/feed", HTTPStatus.METHOD_NOT_ALLOWED),
        ("PUT", "/v1/photos/{photo_id}/like", HTTPStatus.NOT_FOUND),
    ]
    before = [_count(*labels) for labels in counted]
    async with world.client(1) as client:
        for method, path in (
            ("GET", "/v1/users/123456789"),
            ("GET", "/v1/feed"),
            ("GET", "/v1/nothing/123456789"),
            ("BREW", "/v1/feed"),
            ("PUT", "/v1/photos/123456789/like"),
        ):
            await client.request(method, path)
    async with world.client(1, roles=["ops"]) as client:
        text = (await client.get("/metrics")).text

    assert [_count(*labels) - was for labels, was in zip(counted, before, strict=True)] == [1.0] * 5
    assert "123456789" not in text


async def test_the_process_is_ready_if_every_store_responds() -> None:
    """If a store does not respond, /readyz is 503 and names the store. Liveness does not depend on
    stores."""
    world = await make_world()
    world.fail("redis")
    async with world.client() as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")
        world.fail("redis", down=False)
        await world.later(1)
        again = await client.get("/readyz")

    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    assert ready.json()["detail"] == "No answer from redis."
    assert (alive.status_code, again.status_code) == (200, 200)


async def test_a_content_length_that_is_no_number_is_rejected() -> None:
    """An HTTP server in front would reject the length -1. The gate rejects it, too, and does not
    guess what it means."""

    async def never(*_: object) -> None:
        raise AssertionError("must not be called")

    transport = httpx.ASGITransport(make_gate(never))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        response = await client.get("/", headers={"Content-Length": "-1"})

    assert response.status_code == 413


class _Wire:
    """One request whose body arrives in the given pieces, and the messages of its response."""

    def __init__(self, *pieces: bytes, ends: bool, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._pieces = [*pieces]
        self._ends = ends
        self.scope = {"type": "http", "method": "POST", "path": "/v1/photos", "headers": list(headers)}
        self.sent: list[Message] = []
        self.read = 0

    async def receive(self) -> Message:
        if self._pieces:
            self.read += 1
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or not self._ends}
        await asyncio.Event().wait()
        raise AssertionError("nothing more arrives")

    async def send(self, message: Message) -> None:
        self.sent.append({**message, "read": self.read})

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


CHUNKED = ((b"transfer-encoding", b"chunked"), (b"content-type", b"image/png"))


async def _reading_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads the whole body, as FastAPI's routes do."""
    try:
        while (await receive()).get("more_body"):
            pass
    except Problem as problem:
        await problem_response(problem)(scope, receive, send)
    else:
        await Response()(scope, receive, send)


async def _rejecting_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that responds without reading the body."""
    await problem_response(unavailable("not now"))(scope, receive, send)


async def test_a_body_that_stops_arriving_is_408() -> None:
    """The request ends after the longest allowed pause between two pieces, which is before its
    deadline."""
    wire = _Wire(b"123", ends=False, headers=CHUNKED)
    await make_gate(_reading_app, idle_s=0.02)(wire.scope, wire.receive, wire.send)

    assert (wire.status, wire.sent[-1]["more_body"]) == (408, False)


@pytest.mark.law("L14")
@pytest.mark.parametrize(
    ("content_type", "size", "status"),
    [
        (b"image/png", 10, 200),
        (b"image/png", 11, 413),
        (b"application/json", 4, 200),
        (b"application/json", 5, 413),
    ],
)
async def test_bodies_are_bounded_while_they_arrive(content_type: bytes, size: int, status: int) -> None:
    """Each kind of body has its own limit, also without a Content-Length."""
    headers = ((b"transfer-encoding", b"chunked"), (b"content-type", content_type))
    wire = _Wire(*[b"x"] * size, ends=True, headers=headers)
    await make_gate(_reading_app)(wire.scope, wire.receive, wire.send)

    assert wire.status == status


async def test_an_early_response_is_sent_at_once_and_its_connection_is_closed_later() -> None:
    """If the connection closed at once, a client that is still sending might never read the
    response."""
    wire = _Wire(b"12", b"34", b"56", ends=True, headers=CHUNKED)
    await make_gate(_rejecting_app)(wire.scope, wire.receive, wire.send)
    start, response, end = wire.sent

    assert (b"connection", b"close") in start["headers"]
    assert (wire.status, response["read"], response["more_body"]) == (503, 0, True)
    assert (end["read"], end["more_body"]) == (3, False)


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"10"),)])
async def test_a_small_unread_body_does_not_close_the_connection(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    """The server reads and discards a small body, so the connection can be used again."""
    wire = _Wire(b"1234567890", ends=True, headers=(*headers, (b"content-type", b"image/png")))
    await make_gate(_rejecting_app)(wire.scope, wire.receive, wire.send)

    assert (b"connection", b"close") not in wire.sent[0]["headers"]
    assert wire.sent[-1]["more_body"] is False
