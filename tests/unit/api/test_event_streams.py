"""Streams of events: few, bounded in time, and only what has changed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import orjson
import pytest

from api.event_streams import EventStreams
from api.http.problems import Problem
from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from streams.fairness import NOBODY, Requester
from streams.settings import OpsSettings

INTERVAL_S = 0.001


@dataclass
class Page:
    """What is shown, element by element."""

    shown: dict[str, str] = field(default_factory=lambda: {"a": "1", "b": "1"})
    renders: int = 0
    refusal: Exception | None = None

    async def render(self) -> Mapping[str, str]:
        self.renders += 1
        if self.refusal:
            raise self.refusal
        return dict(self.shown)


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def streams(*, streams_max: int = 4, clock: Clock | None = None) -> EventStreams:
    settings = OpsSettings(ops_streams_max=streams_max, ops_stream_s_max=300)
    return EventStreams(settings, clock or Clock(), lambda: 1_800_000_000_000)


async def changes(body: AsyncIterator[bytes]) -> AsyncIterator[dict[str, str]]:
    async for chunk in body:
        for event in chunk.split(b"\n\n"):
            if event.startswith(b"event: panels\ndata: "):
                yield orjson.loads(event.removeprefix(b"event: panels\ndata: "))


def body_of(found: EventStreams, page: Page, interval_s: float = INTERVAL_S) -> AsyncIterator[bytes]:
    response = found.open(NOBODY, page.render, interval_s, {})
    assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
    return response.body_iterator  # type: ignore[return-value]  # Of bytes, as it was given.


async def test_only_what_has_changed_is_sent() -> None:
    """First everything, then what changed."""
    page = Page()
    sent = changes(body_of(streams(), page))
    assert {"a": "1", "b": "1"} == await anext(sent)
    page.shown["b"] = "2"

    assert {"b": "2"} == await anext(sent)


async def test_each_look_is_followed_by_a_sign_of_life() -> None:
    """With the time of the look and the interval, from which a script knows when it is no longer live."""
    body = body_of(streams(), Page())
    begin, everything, unchanged = [await anext(body) for _ in range(3)]

    alive = b'event: alive\ndata: {"at":"2027-01-15T08:00:00.000000Z","next_s":0.001}\n\n'
    assert (b"retry: 2000\n\n", alive) == (begin, unchanged)
    assert everything.endswith(b"\n\n" + alive)


async def test_a_stream_ends_by_itself() -> None:
    clock, page = Clock(), Page()
    body = body_of(streams(clock=clock), page)
    await anext(body)
    await anext(body)
    clock.s = 300.0

    assert [] == [chunk async for chunk in body]


async def test_all_streams_end_with_the_process() -> None:
    """At once, and not after the interval."""
    found = streams()
    body = body_of(found, Page(), 3_600)
    await anext(body)
    await anext(body)
    ending = asyncio.create_task(_rest(body))
    await asyncio.sleep(0)
    found.close()

    assert [] == await ending


@pytest.mark.parametrize("refusal", [Problem(403, "no"), StoreUnavailable("kafka", "read", "down")])
async def test_a_stream_ends_when_it_may_not_be_seen_any_more(refusal: Exception) -> None:
    page = Page()
    body = body_of(streams(), page)
    await anext(body)
    await anext(body)
    page.refusal = refusal

    assert [] == await _rest(body)


async def _rest(body: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in body]


async def test_streams_are_few_and_shared_fairly() -> None:
    """One user may hold half of them. A slot is free again when its stream has ended."""
    found, page = streams(streams_max=4), Page()
    one, others = Requester(1), [Requester(2), Requester(3)]
    first = found.open(one, page.render, INTERVAL_S, {})
    found.open(one, page.render, INTERVAL_S, {})
    with pytest.raises(Problem) as refused:
        found.open(one, page.render, INTERVAL_S, {})
    assert 429 == refused.value.status
    for other in others:
        found.open(other, page.render, INTERVAL_S, {})
    with pytest.raises(Problem) as full:
        found.open(Requester(4), page.render, INTERVAL_S, {})
    assert (503, "1") == (full.value.status, full.value.headers["Retry-After"])

    await gone(first)
    assert 3 == found.open_streams


async def gone(response: object) -> None:
    """Serve the stream to a browser that goes away after the first bytes."""
    gone = asyncio.Event()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message.get("body"):
            gone.set()

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    serving = asyncio.ensure_future(response(scope, receive, send))  # type: ignore[operator]  # ASGI.
    await eventually("the end of the stream", serving.done)
    serving.result()
