"""The middleware around every request: it bounds requests in number, time and size, and counts them.

Law: every request ends within its deadline, with a response or with 503 and Retry-After. A client that does
not read loses its connection.
The middleware is pure ASGI, because a framework's middleware costs as much as a whole request.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from time import monotonic
from typing import NoReturn, Protocol

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.body import BodyBounds, Received, header, slow
from api.http.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT, REQUESTS_REFUSED
from api.http.problems import Problem, problem_response, too_many, unavailable
from api.http.retry_after import RetryQueue
from streams.fairness import NOBODY, REQUESTER, FairSlots, Requester, Room
from streams.telemetry.tracing import exemplar_here
from streams.turns import Turns

# Probes, metrics and the pages of operators need no slot, because they are needed most under overload.
NO_SLOT = frozenset({"/healthz", "/readyz", "/metrics", "/ops"})
OPS_PATHS = "/ops/"
# Probes have no rate: the address of a load balancer, which probes, may be that of all its clients.
NO_RATE = frozenset({"/healthz", "/readyz"})
UPLOADS_PATH = "/v1/photos"
JSON = "application/json"
# When the request had arrived, by `monotonic`: the protocol's entry in the scope. Under overload a request
# may wait for the event loop before anything here runs, and its deadline includes that.
ARRIVED_S = "shutterline.arrived_s"
# Whether a request that routes see as GET is HEAD. A stream has no end to wait for.
IS_HEAD = "shutterline.is_head"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ResponseNotRead(Exception):
    """The client has not read its response by the request's deadline; the protocol closes the connection."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one request: the seconds until its response, and the bounds of its body."""

    deadline_s: float
    body: BodyBounds


class Admission(Protocol):
    async def admit(self, scope: Scope) -> Requester:
        """Return the requester.

        Raises:
            Problem: The requester is above its rate.
        """


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of requests in flight, and of small bodies that arrive before that.

    A request in flight runs in its turn, except an image: it waits for its client most of the time.
    """

    in_flight: FairSlots
    bodies_arriving: FairSlots
    turns: Turns


class Gate:
    """Middleware that bounds requests in number, time and size, and measures them.

    The bounds are fair by user and by address. A request holds a slot only while we work for it:
    small bodies are read completely before that. `special` has the bounds of paths whose responses take
    longer than the usual ones; these need no slot.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Callable[[], Admission],
        usual: Bounds,
        uploads: Bounds,
        special: Mapping[str, Bounds],
        slots: Slots,
        retry_after_s_max: int,
    ) -> None:
        self._app = app
        self._admission = admission
        self._usual = usual
        self._uploads = uploads
        self._special = special
        self._slots = slots
        # When all slots are in use, at least this many requests end a second, because each request
        # ends within its deadline.
        rate_min = slots.in_flight.slots_max / usual.deadline_s
        self._retry_queue = RetryQueue(rate_min=rate_min, s_max=retry_after_s_max)
        REQUESTS_IN_FLIGHT.set_function(lambda: slots.in_flight.in_use)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        # On every path, HEAD is GET without the body.
        inner = {**scope, "method": "GET", IS_HEAD: True} if is_head else scope
        usual = self._special.get(scope["path"], self._usual)
        bounds = self._uploads if _is_body_upload(scope) else usual
        body = Received.of(scope, receive, bounds.body)
        response = _Response(send, is_head, body)
        began_s: float = scope.get(ARRIVED_S) or monotonic()
        left_s = began_s + bounds.deadline_s - monotonic()
        try:
            await self._respond(inner, bounds, left_s, body, body or receive, response)
            await response.end()
        finally:
            if is_head:
                scope.update(inner, method="HEAD")  # What was found out about the request, such as its route.
            _record(scope, response, monotonic() - began_s)

    async def _respond(
        self,
        scope: Scope,
        bounds: Bounds,
        left_s: float,
        body: Received | None,
        receive: Receive,
        response: "_Response",
    ) -> None:
        try:
            async with asyncio.timeout(left_s) as deadline:
                await self._admit(scope, bounds, body, receive, response)
        except Problem as refusal:
            await problem_response(refusal)(scope, receive, response)
        except TimeoutError:
            if not deadline.expired():
                raise
            if response.status is not None:
                REQUESTS_REFUSED.labels("unread").inc()
                raise ResponseNotRead from None
            REQUESTS_REFUSED.labels("deadline").inc()
            await problem_response(self._late(bounds, body))(scope, receive, response)

    async def _admit(
        self, scope: Scope, bounds: Bounds, body: Received | None, receive: Receive, response: "_Response"
    ) -> None:
        """Run the application, if the request may run.

        Raises:
            Problem: 400, 408, 413, 429 or 503; the application does not know of the request.
        """
        length = header(scope, b"content-length") or b"0"
        if not length.isdigit() or int(length) > bounds.body.bytes_max:
            raise bounds.body.too_large()
        path = scope["path"]
        if needs_slot(path) and self._slots.in_flight.is_full:
            self._refuse_full("in_flight", self._slots.in_flight, "requests are under way")
        requester = NOBODY if path in NO_RATE else await self._admission().admit(scope)
        if body is not None and self._is_read_first(scope, requester, bounds, body):
            with self._body_slot(requester):
                await body.read()
        if not needs_slot(path):
            before = REQUESTER.set(requester)
            try:
                await self._app(scope, receive, response)
            finally:
                REQUESTER.reset(before)
            return
        await self._run(scope, bounds, requester, receive, response)

    def _is_read_first(self, scope: Scope, requester: Requester, bounds: Bounds, body: Received) -> bool:
        """Whether the whole body is read before the request runs, while it holds a slot for bodies."""
        path: str = scope["path"]
        if not needs_slot(path):
            # The token of an operator may be in the form, so strangers' forms are read, too.
            return scope["method"] == "POST" and path.startswith(OPS_PATHS)
        # Nothing is read for a requester without a valid token: the route rejects the request.
        return requester.user is not None and (bounds is self._usual or body.is_small)

    async def _run(
        self, scope: Scope, bounds: Bounds, requester: Requester, receive: Receive, response: "_Response"
    ) -> None:
        """Run the application while holding one of the slots for requests in flight.

        Raises:
            Problem: 429 or 503, if the requester may not have one.
        """
        slots = self._slots.in_flight
        self._check(slots.take(requester), "in_flight", slots, "requests are under way")
        before = REQUESTER.set(requester)
        try:
            if bounds is self._uploads:
                await self._app(scope, receive, response)
                return
            async with self._slots.turns.turn(requester):
                await self._app(scope, receive, response)
        finally:
            REQUESTER.reset(before)
            slots.release(requester)
            self._retry_queue.served()

    @contextmanager
    def _body_slot(self, requester: Requester) -> Iterator[None]:
        """Hold one of the slots for small bodies that arrive.

        Raises:
            Problem: 429 or 503, if the requester may not have one.
        """
        slots = self._slots.bodies_arriving
        self._check(slots.take(requester), "bodies", slots, "bodies are being received")
        try:
            yield
        finally:
            slots.release(requester)

    def _check(self, room: Room, reason: str, slots: FairSlots, what: str) -> None:
        if room is Room.SHARE_USED:
            REQUESTS_REFUSED.labels(f"{reason}_share").inc()
            raise too_many("You have as many requests under way as one user or address may; try again.")
        if room is Room.FULL:
            self._refuse_full(reason, slots, what)

    def _refuse_full(self, reason: str, slots: FairSlots, what: str) -> NoReturn:
        REQUESTS_REFUSED.labels(reason).inc()
        full = f"{slots.slots_max} {what}, which is the most; try again."
        raise unavailable(full, self._retry_queue.next_retry_s())

    def _late(self, bounds: Bounds, body: Received | None) -> Problem:
        if body is not None and body.is_being_read:
            return slow(f"The body did not arrive within {bounds.deadline_s:g} s.")
        # If hundreds are late at once, as in an outage, they must not all return in the same second.
        late = f"No answer within {bounds.deadline_s:g} s; try again."
        return unavailable(late, self._retry_queue.next_retry_s())


def needs_slot(path: str) -> bool:
    """Whether requests of this path count among those in flight."""
    return path not in NO_SLOT and not path.startswith(OPS_PATHS)


def _is_body_upload(scope: Scope) -> bool:
    """Whether the body may be an image; the route decides what it really is."""
    if scope["method"] != "POST" or scope["path"] != UPLOADS_PATH:
        return False
    content_type = header(scope, b"content-type") or b""
    return content_type.partition(b";")[0].strip().lower() != JSON.encode()


class _Response:
    """An ASGI `send` that stores the status and leaves out the body of a response to HEAD.

    A response to a request whose body is still arriving is sent at once, but the connection is
    closed a little later: a client that is still writing when it closes may never read the response.
    """

    def __init__(self, send: Send, is_head: bool, body: Received | None) -> None:
        self._send = send
        self._is_head = is_head
        self._body = body
        self._lingers = False
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._lingers = self._body is not None and self._body.is_arriving
            if self._lingers:
                headers = [pair for pair in message["headers"] if pair[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
        elif message["type"] == "http.response.body":
            content = b"" if self._is_head else message.get("body", b"")
            message = {**message, "body": content, "more_body": message.get("more_body") or self._lingers}
        await self._send(message)

    async def end(self) -> None:
        """Close the connection of an early response when the client has stopped writing, or soon after."""
        if self._lingers and self._body is not None:
            await self._body.drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def method_of(method: str) -> str:
    """Return the method, or `other` for those that no route has."""
    return method if method in _METHODS else "other"


def route_of(scope: Scope) -> str:
    """Return the template of the route's path, once the router has found it."""
    return getattr(scope.get("route"), "path", "unmatched")


def _record(scope: Scope, response: _Response, took_s: float) -> None:
    status = response.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
    requests, seconds = _metrics_of(method_of(scope["method"]), route_of(scope), status)
    requests.inc()
    seconds.observe(took_s, exemplar_here())


@cache  # Looking them up by their labels costs more than counting. There are few routes and statuses.
def _metrics_of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)
