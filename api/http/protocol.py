"""The HTTP/1.1 protocol of the server, with bounds on what a client does before there is a request.

uvicorn bounds neither the size of a request's head nor the time it takes, and writes a log line for
each malformed request. The bounds here cost a few additions per read and no work per byte.
"""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.connections import Connections
from api.http.limited_log import LimitedLog
from api.http.metrics import CONNECTIONS_REFUSED
from api.http.problems import RETRY_AFTER_S, Problem, problem_response
from api.http.upgrades import body_framing, parser_within_body

# After a refusal we discard what the client still sends for this long. If we closed the connection at once,
# the client's system would report a reset, and the client might never read the refusal.
LINGER_S = 1.0
# A header line is its name and value, a colon, a space, and the end of the line.
LINE_BYTES = 4
# A piece of a body pays for itself and for as many bytes of chunk sizes, see `on_body`.
BODY_WORTH = 2

_refusals = LimitedLog(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """`head_bytes_max` and `head_s_max` bound the request line with the headers, `idle_s_max` the pauses
    between requests."""

    head_bytes_max: int
    head_s_max: float
    idle_s_max: float

    def too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The request line and the headers may have at most {self.head_bytes_max} bytes.",
        )

    def too_slow(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"The headers did not arrive within {self.head_s_max:g} s."
        )


class _HeadTooLarge(Exception):
    """Raised in a callback of the parser, which stops at it."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Every refusal is a problem document, is counted, and closes the connection. Requests that arrived before
    it on the same connection get their responses first, in order.
    """

    def __init__(self, *args: Any, bounds: ConnectionBounds, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = bounds.idle_s_max  # type: ignore[assignment]  # Only call_later takes it.
        self._bounds = bounds
        self._open = connections
        self._owner: str | None = None
        self._refusal: Problem | None = None
        self._timer: asyncio.TimerHandle | None = None  # Of a head, and of the time after a refusal.
        self._in_head = False
        self._head_bytes = 0  # Of the complete lines of a request's head, and of its trailers.
        self._framing_bytes = 0  # What was read since the last head, and is no body.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._owner = self._open.opened(self.client[0] if self.client else None)
        if self._owner is None:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            problem = Problem(
                HTTPStatus.TOO_MANY_REQUESTS, "Your address has too many open connections.", headers
            )
            self._refuse("connections", problem)
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self._owner is not None:
            self._open.closed(self._owner)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._framing_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse_error(error)
        else:
            if self._framing_bytes > self._bounds.head_bytes_max:
                self._refuse("head_bytes", self._bounds.too_large())
            elif self._in_head and self._timer is None:
                self._start_timer()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + LINE_BYTES)
        # uvicorn would add trailers to the headers of a request that is already under way.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._framing_bytes = 0
        self._stop_timer()
        # The response to the previous request may have started it after this request had begun.
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # Chunks of one byte cost six bytes and 1 µs each. So body must arrive with at most about as many
        # bytes of chunk sizes, chunk extensions and trailers as it has itself.
        self._framing_bytes = max(0, self._framing_bytes - BODY_WORTH * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing_bytes = 0
        if not (self.parser.should_upgrade() and body_framing(self.headers)):
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._refusal is not None and not self.pipeline:
            self.server_state.total_requests += 1
            self._send_refusal(self._refusal)
        else:
            super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        # `close` would wait for a client that does not read its last response.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.head_bytes_max:
            raise _HeadTooLarge

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                framing = body_framing(self.headers)
                if framing:
                    self.parser = parser_within_body(self, framing)
            else:
                break

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._bounds.head_s_max, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            self._start_timer()  # We do not read now, so the rest may have arrived.
        elif self._in_head:
            self._refuse("head_time", self._bounds.too_slow())
        else:
            CONNECTIONS_REFUSED.labels("unused").inc()
            self.transport.close()

    def _refuse_error(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, _HeadTooLarge):
            self._refuse("head_bytes", self._bounds.too_large())
        else:
            text = f"This is not a valid HTTP/1.1 request: {cause or error}."
            self._refuse("malformed", Problem(HTTPStatus.BAD_REQUEST, text))

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Read no more requests; respond when the requests before this one have their responses."""
        self._refusal = problem
        self._stop_timer()
        self._unset_keepalive_if_required()
        CONNECTIONS_REFUSED.labels(reason).inc()
        _refusals.warning(reason, f"{problem.status} and closed a connection: {problem.detail}")
        newest = self.cycle
        if newest is None or newest.response_complete:
            self._send_refusal(problem)
        elif newest.more_body and self.pipeline:
            self.pipeline.popleft()  # It is the one that is refused.
        elif newest.more_body:
            newest.disconnected = True
            newest.message_event.set()
            if newest.response_started:
                self.transport.close()
            else:
                self._send_refusal(problem)

    def _send_refusal(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        response = problem_response(problem)
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", response.body)))
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
