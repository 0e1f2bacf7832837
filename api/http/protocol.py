"""The HTTP/1.1 protocol of the server, with bounds on what a client does before there is a request.

uvicorn bounds neither the size of a request's head nor the time it takes, and writes a log line for
each malformed request. The bounds here cost a few comparisons per read, and no work per line or byte.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.connections import Connections
from api.http.gate import ARRIVED_S, ResponseNotRead
from api.http.metrics import CONNECTIONS_REFUSED
from api.http.problems import Problem, problem_response
from api.http.refusals import ConnectionBounds, last_response, malformed, record, too_many_connections
from api.http.upgrades import body_framing, parser_within_body

# After a refusal we discard what the client still sends for this long. If we closed the connection at once,
# the client's system would report a reset, and the client might never read the refusal.
LINGER_S = 1.0
# A header line is its name and value, a colon, a space, and the end of the line. A request line is its method
# and target, two spaces, the version, and the end of the line. An empty line ends them.
HEADER_LINE_BYTES = 4
OTHER_HEAD_BYTES = len("  HTTP/1.1\r\n\r\n")
# A piece of a body pays for itself and for as many bytes of chunk sizes, see `on_body`.
BODY_WORTH = 2


class _HeadTooLarge(Exception):
    """Raised in a callback of the parser, which stops at it."""


class JoinedWrites:
    """A transport that sends two writes at once, if they come in one iteration of the event loop.

    uvicorn writes the head and the body of a response apart. Each is a system call, a segment, and a wake-up
    of the client. No more than one write waits, so the transport still says when its client is too slow.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._unsent.append(data)
        if len(self._unsent) == 1:
            self._loop.call_soon(self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and not self._transport.is_closing():
            self._transport.writelines(unsent)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._unsent))

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        self.flush()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Every refusal is a problem document, is counted, and closes the connection. Requests that arrived before
    it on the same connection get their responses first, in order.
    """

    def __init__(
        self,
        *args: Any,
        bounds: ConnectionBounds,
        connections: Connections,
        refused: Callable[[str, int, int], None],
        **kwargs: Any,
    ) -> None:
        """`refused` is told the reason of each refusal, its status, and the bytes of its body."""
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._open = connections
        self._owner: str | None = None
        self._refused = refused
        self._refusal: tuple[str, Problem] | None = None
        self._timer: asyncio.TimerHandle | None = None  # Of a head, and of the time after a refusal.
        # One timer serves many requests: uvicorn's own is made and cancelled for each of them.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since_s = 0.0
        self._unread_timer: asyncio.TimerHandle | None = None  # While the client does not read.
        # What was read since the last head or response, without what bodies have paid for. The rest of a
        # piece in which a head ends is not counted.
        self._framing_bytes = 0
        self._unread = b""  # What waits until fewer requests are queued.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        self._owner = self._open.opened(self.client[0] if self.client else None)
        if self._owner is None:
            self._refuse("connections", too_many_connections())
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        for timer in (self._idle_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        if self._owner is not None:
            self._open.closed(self._owner)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if self._unread or len(data) > self._bounds.head_bytes_max:
            self._read_in_pieces(self._unread + data)
            return
        self._framing_bytes += len(data)
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    self._ignore_upgrade()
                    data = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._refuse_error(error)
        else:
            if self._framing_bytes > self._bounds.head_bytes_max:
                self._refuse("head_bytes", self._bounds.too_large())
            elif self._timer is None and self._in_head:
                self._start_timer()

    def _read_in_pieces(self, data: bytes) -> None:
        """Read data, checking the bounds after each piece; what follows many queued requests waits."""
        size = self._bounds.head_bytes_max
        self._unread = b""
        for begin in range(0, len(data), size):
            if len(self.pipeline) >= self._bounds.queued_requests_max:
                self._unread = data[begin:]
                self.flow.pause_reading()
                return
            self.data_received(data[begin : begin + size])

    def on_headers_complete(self) -> None:
        if (
            self._framing_bytes > self._bounds.head_bytes_max
            and self._head_bytes() > self._bounds.head_bytes_max
        ):
            raise _HeadTooLarge
        self._framing_bytes = 0
        self._stop_timer()
        super().on_headers_complete()
        # The scope has the headers. uvicorn would add trailers to them while the request is under way.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        # Chunks of one byte cost six bytes and 1 µs each. So body must arrive with at most about as many
        # bytes of chunk sizes, chunk extensions and trailers as it has itself.
        self._framing_bytes = max(0, self._framing_bytes - BODY_WORTH * len(body))
        super().on_body(body)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._framing_bytes = 0
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self._unread:
                self._read_in_pieces(self._unread)
        elif self._refusal is not None:
            self._send_refusal(*self._refusal)
        else:
            self._idle_since_s = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self._bounds.idle_s_max, self._may_be_idle)

    def _may_be_idle(self) -> None:
        self._idle_timer = None
        if not self.cycle.response_complete or self._timer is not None:
            return  # The next response starts it again.
        left_s = self._idle_since_s + self._bounds.idle_s_max - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._may_be_idle)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # `close` would wait for a client that does not read its last response.
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        # Whatever is to be sent now waits until the client has read, in uvicorn and without a bound.
        self._unread_timer = self.loop.call_later(self._bounds.idle_s_max, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope[ARRIVED_S] = monotonic()  # type: ignore[literal-required]  # Our extension.
        super()._start_asgi_task(cycle, partial(self._run, cycle, app))

    async def _run(
        self, cycle: RequestResponseCycle, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await app(scope, receive, send)
        except ResponseNotRead:
            cycle.disconnected = True  # Otherwise uvicorn logs an error, and waits to send 500.
            self.transport.abort()

    @property
    def _in_head(self) -> bool:
        """Whether a request has begun and its headers are incomplete."""
        # uvicorn makes the scope at the first byte, and adds the method after the last header.
        return self.scope is not None and "method" not in self.scope

    def _head_bytes(self) -> int:
        lines = sum(len(name) + len(value) + HEADER_LINE_BYTES for name, value in self.headers)
        return len(self.parser.get_method()) + len(self.url) + OTHER_HEAD_BYTES + lines

    def _ignore_upgrade(self) -> None:
        framing = body_framing(self.scope["headers"])
        if framing:
            # The parser has ended the request without its body. Its route has not begun yet.
            self.parser = parser_within_body(self, framing)
            self.cycle.more_body = True

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._bounds.head_s_max, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self.flow.read_paused or self._unread:
            self._start_timer()  # The rest may have arrived.
        elif self._in_head:
            self._refuse("head_time", self._bounds.too_slow())
        else:
            CONNECTIONS_REFUSED.labels("unused").inc()
            self.transport.close()

    def _refuse_error(self, error: httptools.HttpParserError) -> None:
        if isinstance(error.__context__, _HeadTooLarge):
            self._refuse("head_bytes", self._bounds.too_large())
        else:
            self._refuse("malformed", malformed(error))

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Read no more requests; respond when the requests before this one have their responses."""
        self._refusal = reason, problem
        self._stop_timer()
        record(reason, problem)
        newest = self.cycle
        if newest is None or newest.response_complete:
            self._send_refusal(reason, problem)
        elif newest.more_body and self.pipeline:
            self.pipeline.popleft()  # It is the one that is refused.
        elif newest.more_body:
            newest.disconnected = True
            newest.message_event.set()
            if newest.response_started:
                self.transport.close()
            else:
                self._send_refusal(reason, problem)

    def _send_refusal(self, reason: str, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        response = problem_response(problem)
        self._refused(reason, problem.status, len(response.body))
        self.transport.write(last_response(response, self.server_state.default_headers))
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
