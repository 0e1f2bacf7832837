"""A request's body as it arrives: bounded in size, and in how long a piece of it may take."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from starlette.types import Message, Receive, Scope

from api.http.problems import Problem

# A smaller body that nobody reads is the server's own to throw away.
SMALL_BYTES_MAX = 65_536
LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """`idle_s_max` is between two pieces, and before the first."""

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
    """`receive` of one request that has a body, within its bounds."""

    def __init__(self, receive: Receive, bounds: BodyBounds, *, is_small: bool) -> None:
        self._receive = receive
        self._bounds = bounds
        self._is_small = is_small
        self._bytes = 0
        self._ended = False

    @classmethod
    def of(cls, scope: Scope, receive: Receive, bounds: BodyBounds) -> Self | None:
        """None for a request without a body."""
        stated = header(scope, b"content-length")
        if stated is None and header(scope, b"transfer-encoding") is None:
            return None
        is_small = stated is not None and stated.isdigit() and int(stated) <= SMALL_BYTES_MAX
        return cls(receive, bounds, is_small=is_small)

    async def __call__(self) -> Message:
        """The next piece.

        Raises:
            Problem: 408 when it does not come in time, 413 when there is too much.
        """
        if self._ended:
            return await self._receive()  # Which waits until the client is gone.
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
        """Whether a client may still be busy writing it."""
        return not self._ended and not self._is_small

    async def drain(self) -> None:
        """Throw away what still arrives, for a while."""
        try:
            async with asyncio.timeout(LINGER_S):
                while (await self._receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass


def header(scope: Scope, name: bytes) -> bytes | None:
    """The header's value where it stands once or first."""
    return next((value for each, value in scope["headers"] if each == name), None)
