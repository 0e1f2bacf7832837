"""A request's body as it arrives: its size is bounded, and so are the waits for its pieces."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Self

from starlette.types import Message, Receive, Scope

from api.http.problems import Problem

# If no route reads a body of up to this size, the HTTP server itself discards it.
SMALL_BYTES_MAX = 65_536
LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """`idle_s_max` bounds the wait for each piece, the first included.

    All waits together may take `slow_s_max`, and a second more for each `bytes_per_s_min` bytes
    that arrived. Only the time in which we wait for the client counts.
    """

    bytes_max: int
    idle_s_max: float
    bytes_per_s_min: int
    slow_s_max: float

    def too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {self.bytes_max} bytes."
        )

    def idle(self) -> Problem:
        return slow(f"Nothing more of the body arrived within {self.idle_s_max:g} s.")

    def too_slow(self) -> Problem:
        return slow(f"The body arrived with less than {self.bytes_per_s_min} bytes a second.")


def slow(detail: str) -> Problem:
    """Return 408. The rest of the body is not waited for, so the connection is closed."""
    return Problem(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"})


def disconnected() -> Problem:
    """Return 400 for the metrics; there is no client left that could read it."""
    return Problem(HTTPStatus.BAD_REQUEST, "The connection ended before the body did.")


class Received:
    """An ASGI `receive` for a request with a body, which enforces the bounds."""

    def __init__(
        self, receive: Receive, bounds: BodyBounds, *, is_small: bool, clock_s: Callable[[], float]
    ) -> None:
        self._receive = receive
        self._bounds = bounds
        self._clock_s = clock_s
        self._bytes = 0
        self._waited_s = 0.0
        self._ended = False
        self._whole: bytes | None = None
        self.is_small = is_small
        self.is_being_read = False

    @classmethod
    def of(
        cls, scope: Scope, receive: Receive, bounds: BodyBounds, clock_s: Callable[[], float] = monotonic
    ) -> Self | None:
        """Return None for a request without a body."""
        length = header(scope, b"content-length")
        if length is None and header(scope, b"transfer-encoding") is None:
            return None
        is_small = length is not None and length.isdigit() and int(length) <= SMALL_BYTES_MAX
        return cls(receive, bounds, is_small=is_small, clock_s=clock_s)

    async def read(self) -> None:
        """Wait for the whole body; from then on, receiving it takes no time.

        Raises:
            Problem: 400 if the client disconnects, 408 and 413 as for a piece.
        """
        self.is_being_read = True
        pieces: list[bytes] = []
        while not self._ended:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise disconnected()
            pieces.append(message.get("body", b""))
        self._whole = b"".join(pieces)
        self.is_being_read = False

    async def __call__(self) -> Message:
        """Return the next piece.

        Raises:
            Problem: 408 if it does not arrive in time, 413 if the body is too large.
        """
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return {"type": "http.request", "body": whole, "more_body": False}
        if self._ended:
            return await self._receive()  # This waits until the client disconnects.
        return await self._next()

    async def _next(self) -> Message:
        began_s = self._clock_s()
        left_s = self._bounds.slow_s_max + self._bytes / self._bounds.bytes_per_s_min - self._waited_s
        if left_s <= 0:
            raise self._bounds.too_slow()
        try:
            async with asyncio.timeout(min(left_s, self._bounds.idle_s_max)):
                message = await self._receive()
        except TimeoutError:
            raise (
                self._bounds.idle() if left_s > self._bounds.idle_s_max else self._bounds.too_slow()
            ) from None
        self._waited_s += self._clock_s() - began_s
        self._ended = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._bounds.bytes_max:
            raise self._bounds.too_large()
        return message

    @property
    def is_arriving(self) -> bool:
        """Whether the client may still be writing the body."""
        return not self._ended and not self.is_small

    async def drain(self) -> None:
        """Discard what still arrives, for at most `LINGER_S` seconds."""
        try:
            async with asyncio.timeout(LINGER_S):
                while (await self._receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the header's first value."""
    return next((value for header_name, value in scope["headers"] if header_name == name), None)
