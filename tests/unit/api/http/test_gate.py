"""Bounds around every request, and what is said of the process itself."""

import asyncio
from http import HTTPStatus

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.body import BodyBounds
from api.http.gate import Bounds, Gate
from api.http.problems import Problem, problem_response, unavailable
from tests.worlds.api import World, eventually, make_world


class _Stuck:
    """Makes reads of whom somebody follows wait until let go; counts those that wait."""

    def __init__(self, world: World) -> None:
        self.waiting = 0
        self.go = asyncio.Event()
        following = world.stores.outgoing_edges.following

        async def stuck(*args: object) -> object:
            self.waiting += 1
            await self.go.wait()
            return await following(*args)  # type: ignore[arg-type]  # As they came.

        world.switches["outgoing_edges"].following = stuck  # type: ignore[attr-defined]  # A hung database.


@pytest.mark.law("L14")
async def test_a_request_ends_within_its_deadline() -> None:
    """Law: every request ends within its deadline; what has not answered by then is 503."""
    world = await make_world(request_deadline_ms=30)
    _Stuck(world)
    async with world.client(1) as client:
        answer = await client.get("/v1/users/2")

    assert answer.json()["detail"] == "No answer within 0.03 s; try again."
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.law("L14")
async def test_more_requests_than_the_limit_are_refused_at_once() -> None:
    """503 without waiting, and each a time to come again; whoever watches gets through; afterwards all is
    as before."""
    world = await make_world(requests_in_flight_max=2)
    stuck = _Stuck(world)
    async with world.client(1, roles=["ops"]) as client:
        held = [asyncio.create_task(client.get(f"/v1/users/{user}")) for user in (2, 3)]
        await eventually(lambda: stuck.waiting == 2, "two requests to be under way")
        refused = [await client.get("/v1/users/4") for _ in range(8)]
        watched = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
        stuck.go.set()
        answers = [(await task).status_code for task in held]
        later = await client.get("/v1/users/4")

    again_s = [int(each.headers["retry-after"]) for each in refused]
    assert {each.status_code for each in refused} == {503}
    # Two requests in flight for at most 2 s each are one a second: eight at once are spread.
    assert (again_s[0], again_s) == (1, sorted(again_s))
    assert again_s[-1] > 2
    assert (watched, answers, later.status_code) == ([200, 200, 200], [200, 200], 200)


@pytest.mark.law("L14")
async def test_reads_of_the_database_are_bounded() -> None:
    """A page that finds no read free in time is 503, not a wait without end."""
    world = await make_world(database_reads_in_flight_max=1, request_deadline_ms=100)
    world.fail("redis")
    stuck = _Stuck(world)
    async with world.client(1) as client:
        first = asyncio.create_task(client.get("/v1/feed"))
        await eventually(lambda: stuck.waiting == 1, "the first to read")
        second = await client.get("/v1/feed")
        stuck.go.set()
        await first

    assert (second.status_code, second.headers["retry-after"]) == (503, "1")


async def test_a_bug_is_500_and_a_problem_document() -> None:
    """What is our fault says so, and nothing of its cause."""
    world = await make_world()

    async def broken(*args: object) -> object:
        raise RuntimeError("a secret cause")

    world.switches["outgoing_edges"].following = broken  # type: ignore[attr-defined]  # A bug.
    async with world.client(1) as client:
        answer = await client.get("/v1/users/2")

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


def _count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("shutterline_http_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_never_by_id() -> None:
    """The route's template is the label; unknown paths and methods share one each."""
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


async def test_readiness_is_that_every_store_answers() -> None:
    """503 and the names of those that do not; liveness does not depend on them."""
    world = await make_world()
    world.fail("redis")
    async with world.client() as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")
        world.fail("redis", down=False)
        again = await client.get("/readyz")

    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    assert ready.json()["detail"] == "No answer from redis."
    assert (alive.status_code, again.status_code) == (200, 200)


async def test_a_stated_length_that_is_no_number_is_refused() -> None:
    """A server in front would have refused it; we do not guess either."""

    async def never(*_: object) -> None:
        raise AssertionError("must not be called")

    bounds = Bounds(1, BodyBounds(10, 1))
    gate = Gate(never, usual=bounds, uploads=bounds, in_flight_max=1, retry_after_s_max=30)
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answer = await client.get("/", headers={"Content-Length": "-1"})

    assert answer.status_code == 413


class _Wire:
    """One request whose body comes as the test says, and what is answered."""

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
        raise AssertionError("nothing more comes")

    async def send(self, message: Message) -> None:
        self.sent.append({**message, "read": self.read})

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


CHUNKED = ((b"transfer-encoding", b"chunked"), (b"content-type", b"image/png"))


async def _reads(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads all of the body, as FastAPI's routes do."""
    try:
        while (await receive()).get("more_body"):
            pass
    except Problem as problem:
        await problem_response(problem)(scope, receive, send)
    else:
        await Response()(scope, receive, send)


async def _refuses(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers without reading."""
    await problem_response(unavailable("not now"))(scope, receive, send)


def _gate(app: ASGIApp, *, idle_s: float = 5.0) -> Gate:
    usual = Bounds(1, BodyBounds(4, idle_s))
    return Gate(
        app, usual=usual, uploads=Bounds(1, BodyBounds(10, idle_s)), in_flight_max=1, retry_after_s_max=30
    )


async def test_a_body_that_stops_arriving_is_408() -> None:
    """After the time that is allowed between two pieces, not only at the request's deadline."""
    wire = _Wire(b"123", ends=False, headers=CHUNKED)
    await _gate(_reads, idle_s=0.02)(wire.scope, wire.receive, wire.send)

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
    """Each kind by its own limit; nobody states a length."""
    headers = ((b"transfer-encoding", b"chunked"), (b"content-type", content_type))
    wire = _Wire(*[b"x"] * size, ends=True, headers=headers)
    await _gate(_reads)(wire.scope, wire.receive, wire.send)

    assert wire.status == status


async def test_an_early_answer_is_sent_at_once_and_its_connection_closed_later() -> None:
    """Whoever still writes when a connection closes might never read the answer."""
    wire = _Wire(b"12", b"34", b"56", ends=True, headers=CHUNKED)
    await _gate(_refuses)(wire.scope, wire.receive, wire.send)
    start, answer, end = wire.sent

    assert (b"connection", b"close") in start["headers"]
    assert (wire.status, answer["read"], answer["more_body"]) == (503, 0, True)
    assert (end["read"], end["more_body"]) == (3, False)


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"10"),)])
async def test_a_small_body_that_nobody_reads_keeps_its_connection(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    """The server throws it away by itself."""
    wire = _Wire(b"1234567890", ends=True, headers=(*headers, (b"content-type", b"image/png")))
    await _gate(_refuses)(wire.scope, wire.receive, wire.send)

    assert (b"connection", b"close") not in wire.sent[0]["headers"]
    assert wire.sent[-1]["more_body"] is False
