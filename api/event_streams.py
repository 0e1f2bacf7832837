"""Server-sent events for browsers: a few streams, which end by themselves and with the process.

A browser connects again when a stream ends, so nobody notices the end.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http.problems import Problem, too_many, unavailable
from schemas.times import rfc3339, utc_datetime_of_ms
from streams.clock import unix_ms
from streams.errors import StoreUnavailable
from streams.fairness import FairSlots, Requester, Room, Shares
from streams.settings import OpsSettings

# One user, or all of an open stack, may hold half of the streams.
SHARES = Shares(user=1.0, address=1.0)
RETRY_MS = 2_000  # After the end of a stream or of the process, a browser waits so long.
MEDIA_TYPE = "text/event-stream"
# Returns what is shown, by the id of the element. A Problem or StoreUnavailable ends the stream.
Render = Callable[[], Awaitable[Mapping[str, str]]]


class EventStreams:
    """The streams of one process; `clock_s` is monotonic."""

    def __init__(
        self,
        settings: OpsSettings,
        clock_s: Callable[[], float] = monotonic,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._slots = FairSlots(settings.ops_streams_max, SHARES)
        self._stream_s_max = settings.ops_stream_s_max
        self._clock_s = clock_s
        self._clock_ms = clock_ms
        self._closing = asyncio.Event()

    @property
    def open_streams(self) -> int:
        return self._slots.in_use

    def close(self) -> None:
        """End all streams, and those that begin later."""
        self._closing.set()

    def open(
        self, requester: Requester, render: Render, interval_s: float, headers: Mapping[str, str]
    ) -> "EventStream":
        """Return a response that sends what has changed, every `interval_s` seconds at most.

        The event `panels` has the HTML by element. The event `alive` follows each look: the time `at` it, and
        the seconds `next_s` until the next one.

        Raises:
            Problem: 429 or 503, if there is no room for the requester.
        """
        room = self._slots.take(requester)
        if room is Room.SHARE_USED:
            raise too_many("You have as many streams open as one user or address may; try again.")
        if room is Room.FULL:
            raise unavailable(f"{self._slots.slots_max} streams are open, which is the most; try again.")
        return EventStream(self._events(render, interval_s), headers, lambda: self._slots.release(requester))

    async def _events(self, render: Render, interval_s: float) -> AsyncGenerator[bytes, None]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        sent: Mapping[str, str] = {}
        until_s = self._clock_s() + self._stream_s_max
        while not self._closing.is_set() and self._clock_s() < until_s:
            try:
                shown = await render()
            except (Problem, StoreUnavailable):
                return  # The browser connects again, and gets the reason as a response.
            changed = {name: html for name, html in shown.items() if sent.get(name) != html}
            # Without a change, too: it shows that the stream goes on, also to what is between. A script does
            # not see comments.
            alive = {"at": rfc3339(utc_datetime_of_ms(self._clock_ms())), "next_s": interval_s}
            yield (_event("panels", changed) if changed else b"") + _event("alive", alive)
            sent = shown
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), interval_s)


class EventStream(StreamingResponse):
    """A stream that releases its slot when it ends, also if the browser goes away while it is sent."""

    def __init__(
        self, events: AsyncIterator[bytes], headers: Mapping[str, str], release: Callable[[], None]
    ) -> None:
        # Proxies would otherwise collect what should be shown now.
        all_headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
        super().__init__(events, headers=all_headers, media_type=MEDIA_TYPE)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
