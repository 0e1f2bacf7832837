"""A request's body as it arrives: its size is bounded, and so is the wait for each piece."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from starlette.types import Message, Receive, Scope

from api.http.problems import Problem

# If no route reads a body of up to this size, the HTTP server itself discards it.
SMALL_BYTES_MAX = 65_536
LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """`idle_s_max` bounds the wait for each piece, the first included."""

    bytes_max: int
    idle_s_max: float

    def too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {self.bytes_max} bytes."
        )

    def too_slow(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"Nothing more of the body arrived within {self.idle_s_max:g} s."
        )


class Received:
    """An ASGI `receive` for a request with a body, which enforces the bounds."""

    def __init__(self, receive: Receive, bounds: BodyBounds, *, is_small: bool) -> None:
        self._receive = receive
        self._bounds = bounds
        self._is_small = is_small
        self._bytes = 0
        self._ended = False

    @classmethod
    def of(cls, scope: Scope, receive: Receive, bounds: BodyBounds) -> Self | None:
        """Return None for a request without a body."""
        length = header(scope, b"content-length")
        if length is None and header(scope, b"transfer-encoding") is None:
            return None
        is_small = length is not None and length.isdigit() and int(length) <= SMALL_BYTES_MAX
        return cls(receive, bounds, is_small=is_small)

    async def __call__(self) -> Message:
        """Return the next piece.

        Raises:
            Problem: 408 if it does not arrive in time, 413 if the body is too large.
        """
        if self._ended:
            return await self._receive()  # This waits until the client disconnects.
        try:
            async with asyncio.timeout(self._bounds.idle_s_max):
                message = await self._receive()
        except TimeoutError:
            raise self._bounds.too_slow() from None
        self._ended = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._bounds.bytes_max:
            raise self._bounds.too_large()
        return message

    @property
    def is_arriving(self) -> bool:
        """Whether the client may still be writing the body."""
        return not self._ended and not self._is_small

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
