"""The access log: which requests it has, what it says of them, and what it never says."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind
from starlette.types import Receive, Scope, Send

from api.access_log import AccessLog
from api.traced import traced
from shutterline.logs import access_events
from streams.settings import AccessLogSettings
from streams.telemetry.causes import note_published
from tests.unit.api.http.wire import serving
from tests.unit.streams.telemetry.spans import traced as in_memory
from tests.worlds.api import World, make_world

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRETS = {
    "User-Agent": "Agent/7",
    "X-Forwarded-For": "203.0.113.9",
    "Cookie": "session=8765",
    "X-Mark": "mk",
}


@dataclass
class Log:
    """What was written, and the chance and the clock that decide what is."""

    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    chance: float = 0.0
    now_s: float = 100.0

    def write(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def log(self, **settings: int) -> AccessLog:
        parsed = AccessLogSettings.model_validate(settings)
        return AccessLog(self.write, parsed, chance=lambda: self.chance, clock_s=lambda: self.now_s)

    @property
    def fields(self) -> list[Mapping[str, Any]]:
        return [fields for _, fields in self.events]


@asynccontextmanager
async def _client(
    world: World, log: Log, user: int | None = 1, **settings: int
) -> AsyncIterator[httpx.AsyncClient]:
    app = log.log(**settings).around(world.app)
    headers = {} if user is None else {"Authorization": f"Bearer {world.token(user)}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        yield client


async def test_a_page_is_an_event_with_its_facts() -> None:
    """The route is its template, and the caller is an id. A page says how complete it is."""
    world, log = await make_world(), Log()
    await world.post(5, author=2)
    async with _client(world, log, 17) as client:
        headers = {"traceparent": TRACEPARENT}
        response = await client.get("/v1/users/2/photos", params={"limit": 1}, headers=headers)
        feed = await client.get("/v1/feed")
        await client.get("/v1/photos/5")

    photos = {"method": "GET", "route": "/v1/users/{user_id}/photos", "traceparent": TRACEPARENT}
    assert log.fields[0] == {
        **photos,
        "status": 200,
        "bytes": len(response.content),
        "duration_ms": 0.0,
        "user_id": "17",
        "completeness": response.json()["completeness"],
    }
    assert (log.fields[1]["route"], log.fields[1]["completeness"]) == (
        "/v1/feed",
        feed.json()["completeness"],
    )
    assert log.fields[2].keys() == {"method", "route", "status", "bytes", "duration_ms", "user_id"}


async def test_nothing_personal_or_secret_is_written() -> None:
    """No path, query, cursor, address, header, token or body; a traceparent only if it is one."""
    world, log = await make_world(), Log()
    body = {"caption": "a cat of mine", "content_type": "image/jpeg", "content_length": 1}
    async with _client(world, log) as client:
        for traceparent in ("mail@example.com", TRACEPARENT + "-mail", TRACEPARENT.upper()):
            headers = {**SECRETS, "traceparent": traceparent}
            await client.get("/v1/feed?cursor=c0ffee&q=hidden", headers=headers)
            await client.get("/v1/users/98765", headers=headers)
            await client.post("/v1/photos", json=body, headers=headers)
            await client.request("SECRETMETHOD", "/secret/path", headers=headers)
        token = client.headers["authorization"].split()[1]

    text = json.dumps(log.events)
    assert len(log.events) == 12
    words = (*SECRETS.values(), "mail", "c0ffee", "hidden", "98765", "cat", "SECRET", "secret", token, "4BF9")
    assert [word for word in words if word in text] == []
    assert {"method": "other", "route": "unmatched"}.items() <= log.fields[-1].items()


async def test_writes_and_failures_are_all_written_and_reads_are_sampled() -> None:
    """A read is written with a chance of one in so many."""
    world, log = await make_world(), Log()
    async with _client(world, log, access_log_reads_one_of=4) as client:
        for chance in (0.0, 0.2499, 0.25, 0.9999):
            log.chance = chance
            for method in ("GET", "HEAD", "OPTIONS"):
                await client.request(method, "/v1/feed")
            await client.put("/v1/social/follow/2")
        world.fail("cassandra")
        assert (await client.get("/v1/users/3")).status_code == 503

    written = Counter((each["method"], each["status"]) for each in log.fields)
    assert written == {
        ("GET", 200): 2,
        ("HEAD", 200): 2,
        ("OPTIONS", 204): 2,
        ("PUT", 204): 4,
        ("GET", 503): 1,
    }
    head = next(each for each in log.fields if each["method"] == "HEAD")
    assert (head["route"], head["user_id"], head["bytes"]) == ("/v1/feed", "1", 0)
    assert head["completeness"] in ("complete", "rebuilding")


async def test_a_client_cannot_fill_the_log_with_its_errors() -> None:
    """So many lines a second of one status; the next one says how many were left out."""
    world, log = await make_world(limits_by_address=False), Log(chance=1.0)
    async with _client(world, log, None, access_log_refusals_per_s=2) as client:
        for _ in range(5):
            await client.put("/v1/social/follow/2")  # 401
        await client.get("/nothing")
        log.now_s += 1
        for _ in range(2):
            await client.get("/v1/feed")

    seen = [(each["status"], each.get("left_out")) for each in log.fields]
    assert seen == [(401, None), (401, None), (404, None), (401, 3), (401, None)]


async def test_an_outage_does_not_fill_the_log() -> None:
    """Of 503 so many lines a second as of a refusal, of reads and writes alike."""
    world, log = await make_world(limits_by_address=False), Log(chance=1.0)
    world.fail("cassandra")
    async with _client(world, log, access_log_refusals_per_s=2) as client:
        for _ in range(5):
            await client.get("/v1/users/3")
            await client.put("/v1/social/follow/2")
        log.now_s += 1
        await client.get("/v1/users/3")

    seen = [(each["status"], each.get("left_out")) for each in log.fields]
    assert seen == [(503, None), (503, None), (503, 8)]


async def test_an_error_of_ours_is_a_500() -> None:
    """Also if the application fails before it has responded."""
    log = Log(chance=1.0)

    async def fails(scope: object, receive: object, send: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await log.log().around(fails)({"type": "http", "method": "GET", "headers": []}, None, None)  # type: ignore[arg-type]

    assert [each["status"] for each in log.fields] == [500]


@pytest.mark.parametrize(
    ("sent", "reason", "status"),
    [
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "malformed", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, "head_bytes", 431),
        (b"GET / HTTP/1.1\r\n", "head_time", 408),
    ],
)
async def test_what_is_no_request_is_written(sent: bytes, reason: str, status: int) -> None:
    """Errors below the router: malformed HTTP, too large or too slow headers."""
    log = Log(chance=1.0)
    async with serving(log.log().refused, request_head_s_max=0.1) as wire:
        reply = await (await wire.sends(sent)).last_reply()

    assert log.events == [("refused", {"reason": reason, "status": status, "bytes": len(reply.body)})]


def test_an_event_is_one_json_object_a_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """With the time, whatever else is logged."""
    write = access_events("api-1")
    write("request", route="/v1/feed", status=200)
    write("request", route="two\nlines\x1b", status=200)
    first, second = capfdbinary.readouterr().out.splitlines()

    event = json.loads(first)
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "info",
        "process": "api-1",
        "logger": "access",
        "event": "request",
        "route": "/v1/feed",
        "status": 200,
    }
    assert b"\x1b" not in second


async def test_a_write_names_the_event_that_it_publishes() -> None:
    """Of several events all; a read and what publishes nothing name none."""
    publishes: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event_id in publishes:
            note_published(event_id)

    log = Log()
    transport = httpx.ASGITransport(
        log.log(access_log_reads_one_of=1).around(app), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        for published in ([], ["e1"], ["e2", "e3"]):
            publishes[:] = published
            for method in ("PUT", "GET"):
                with suppress(AssertionError):  # The application sends no response.
                    await client.request(method, "/v1/feed")

    named = [{k: v for k, v in fields.items() if k.startswith("event_id")} for fields in log.fields]
    assert [{}, {}, {"event_id": "e1"}, {}, {"event_ids": ["e2", "e3"]}, {}] == named


async def test_a_request_that_is_traced_continues_the_trace_of_its_client() -> None:
    """The span has the template and the status; the line has the span, also where the client has none."""
    world, log = await make_world(), Log()
    with in_memory() as exporter:
        app = log.log(access_log_reads_one_of=1).around(traced(world.app))
        headers = {"Authorization": f"Bearer {world.token(1)}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", headers=headers
        ) as client:
            await client.get("/v1/users/98765?q=hidden", headers={"traceparent": TRACEPARENT, **SECRETS})
            await client.put("/v1/social/follow/2")

    read, write = (span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER)
    assert read.context is not None
    assert read.parent is not None
    assert ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7") == (
        f"{read.context.trace_id:032x}",
        f"{read.parent.span_id:016x}",
    )
    assert ("GET /v1/users/{user_id}", "PUT /v1/social/follow/{user_id}") == (read.name, write.name)
    assert read.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/users/{user_id}",
        "http.response.status_code": 200,
    }
    assert write.parent is None
    assert write.context is not None
    assert f"{write.context.trace_id:032x}" in log.fields[1]["traceparent"]
    assert [word for word in (*SECRETS.values(), "hidden", "98765") if word in read.to_json()] == []


async def test_traces_that_are_off_leave_the_application_as_it_is() -> None:
    """No request pays for them."""
    world = await make_world()

    assert traced(world.app) is world.app
