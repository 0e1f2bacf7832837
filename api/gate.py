"""Around every request: how many at once, how long, how large, and what is counted.

Law: every request ends within its deadline, with an answer or with 503 and Retry-After.
Pure ASGI, because the wrappers that frameworks offer cost as much as a whole request.
"""

import asyncio
from http import HTTPStatus
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT, REQUESTS_REFUSED
from api.problems import Problem, problem_response, unavailable

# Whoever watches must get through when nobody else does.
NEVER_REFUSED = frozenset({"/healthz", "/readyz", "/metrics"})

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Gate:
    """Middleware that bounds requests in number, time and size, and measures them."""

    def __init__(self, app: ASGIApp, *, deadline_s: float, in_flight_max: int, body_bytes_max: int) -> None:
        self._app = app
        self._deadline_s = deadline_s
        self._in_flight_max = in_flight_max
        self._body_bytes_max = body_bytes_max
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        # HEAD is GET without the body, on every path.
        inner = {**scope, "method": "GET"} if is_head else scope
        answer = _Answer(send, is_head)
        began_s = monotonic()
        try:
            await self._answer(inner, receive, answer)
        finally:
            _record(scope["method"], inner, answer, monotonic() - began_s)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await problem_response(refusal)(scope, receive, answer)
            return
        self._in_flight += 1
        REQUESTS_IN_FLIGHT.set(self._in_flight)
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                await self._app(scope, receive, answer)
        except TimeoutError:
            if not deadline.expired() or answer.status is not None:
                raise
            REQUESTS_REFUSED.labels("deadline").inc()
            late = unavailable(f"No answer within {self._deadline_s:g} s; try again.")
            await problem_response(late)(scope, receive, answer)
        finally:
            self._in_flight -= 1
            REQUESTS_IN_FLIGHT.set(self._in_flight)

    def _refusal(self, scope: Scope) -> Problem | None:
        if self._in_flight >= self._in_flight_max and scope["path"] not in NEVER_REFUSED:
            REQUESTS_REFUSED.labels("in_flight").inc()
            return unavailable(f"More than {self._in_flight_max} requests are under way; try again.")
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not stated.isdigit() or int(stated) > self._body_bytes_max:
            return Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body may have at most {self._body_bytes_max} bytes.",
                {"Connection": "close"},
            )
        return None


class _Answer:
    """`send`, which remembers the status, and leaves out the body of an answer to HEAD."""

    def __init__(self, send: Send, is_head: bool) -> None:
        self._send = send
        self._is_head = is_head
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _record(method: str, scope: Scope, answer: _Answer, took_s: float) -> None:
    method = method if method in _METHODS else "other"
    route = getattr(scope.get("route"), "path", "unmatched")
    REQUESTS.labels(method, route, str(answer.status or HTTPStatus.INTERNAL_SERVER_ERROR.value)).inc()
    REQUEST_SECONDS.labels(method, route).observe(took_s)
