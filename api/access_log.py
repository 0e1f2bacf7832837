"""The access log: one event for each request that is written down, with no personal data beyond ids.

An event has the template of the route and the id of the caller. It has neither the path nor the query, and
nothing else that tells who or where the caller is, or that a client chooses freely: no address, User-Agent,
token or body.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from random import random
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.admission import READ_METHODS, user_of
from api.http.body import header
from api.http.gate import ARRIVED_S, method_of, route_of
from streams.settings import AccessLogSettings
from streams.telemetry.causes import collecting_published, valid_traceparent
from streams.telemetry.lines import event_fields

_COMPLETENESS = "shutterline.completeness"
_TRACEPARENT = "shutterline.traceparent"


def note_completeness(scope: Scope, completeness: str) -> None:
    """Say how complete the page is that this request returns."""
    scope[_COMPLETENESS] = completeness


def note_traceparent(scope: Scope, traceparent: str) -> None:
    """Say in which span this request is traced."""
    scope[_TRACEPARENT] = traceparent


def traceparent_of(scope: Scope) -> str | None:
    """Return the span in which the request is traced, otherwise the client's; None without a valid one."""
    noted: str | None = scope.get(_TRACEPARENT)
    return noted or valid_traceparent(header(scope, b"traceparent"))


class AccessLog:
    """Decides which requests are written down, and writes them.

    Of 4xx and of 503 so many a second for each status are; of the others every write and every 5xx, and one
    of `access_log_reads_one_of` reads. `left_out` of an event is how many of its status were left out since
    the one before it.
    """

    def __init__(
        self,
        write: Callable[..., object],
        settings: AccessLogSettings,
        *,
        chance: Callable[[], float] = random,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        """`write` takes the name of an event, and its fields by name."""
        self._write = write
        self._reads_one_of = settings.access_log_reads_one_of
        self._refusals_per_s = settings.access_log_refusals_per_s
        self._chance = chance
        self._clock_s = clock_s
        # By status: the second in which the last one was written, how many in it, and how many were left out.
        self._refusals: dict[int, tuple[int, int, int]] = {}

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with this log around it; it belongs outside of everything else."""

        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            sent = _Sent(send)
            method, began_s = scope["method"], scope.get(ARRIVED_S) or self._clock_s()
            # A read publishes nothing.
            published: AbstractContextManager[list[str]] = (
                nullcontext([]) if method in READ_METHODS else collecting_published()
            )
            with published as event_ids:
                try:
                    await app(scope, receive, sent)
                finally:
                    left_out = self._left_out(method, sent.status)
                    if left_out is not None:
                        took_s = self._clock_s() - began_s
                        fields = _fields(scope, method) | sent.fields() | event_fields(event_ids)
                        self._write("request", **fields, duration_ms=round(took_s * 1_000, 2), **left_out)

        return logged

    def refused(self, reason: str, status: int, size: int) -> None:
        """Log a refusal of bytes that are no request, such as malformed HTTP; `size` is the response's."""
        left_out = self._left_out("GET", status)
        if left_out is not None:
            self._write("refused", reason=reason, status=status, bytes=size, **left_out)

    def _left_out(self, method: str, status: int) -> dict[str, int] | None:
        """Return None if this request is not written, otherwise the field `left_out` if there is one."""
        if 400 <= status < 500 or status == HTTPStatus.SERVICE_UNAVAILABLE:
            return self._refusal(status, int(self._clock_s()))
        is_read = status < 500 and method in READ_METHODS
        return None if is_read and self._chance() * self._reads_one_of >= 1 else {}

    def _refusal(self, status: int, now_s: int) -> dict[str, int] | None:
        at_s, written, left_out = self._refusals.get(status, (now_s, 0, 0))
        if at_s == now_s and written >= self._refusals_per_s:
            self._refusals[status] = at_s, written, left_out + 1
            return None
        self._refusals[status] = now_s, written + 1 if at_s == now_s else 1, 0
        return {"left_out": left_out} if left_out else {}


class _Sent:
    """An ASGI `send` that remembers the status, and counts the bytes of the body."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500  # Without a response, the server sends this.
        self._size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)

    def fields(self) -> dict[str, object]:
        return {"status": self.status, "bytes": self._size}


def _fields(scope: Scope, method: str) -> dict[str, object]:
    fields: dict[str, object] = {"method": method_of(method), "route": route_of(scope)}
    traceparent = traceparent_of(scope)
    if traceparent is not None:
        fields["traceparent"] = traceparent
    user = user_of(scope)
    if user is not None:
        fields["user_id"] = str(user)
    if _COMPLETENESS in scope:
        fields["completeness"] = scope[_COMPLETENESS]
    return fields
