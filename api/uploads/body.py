"""The body of an upload request, as it arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from starlette.requests import ClientDisconnect, Request

from api.http.body import disconnected
from api.http.problems import Problem, too_many, unavailable
from api.services import UploadService
from schemas.ids import UserId
from streams import metrics
from streams.fairness import REQUESTER, Room


@asynccontextmanager
async def body_slot(uploads: UploadService, user: UserId) -> AsyncIterator[None]:
    """Hold one of the slots for images that arrive at once.

    Raises:
        Problem: 503, if no slot is free, 429, if the user or the address holds its share.
    """
    requester = REQUESTER.get()
    room = uploads.bodies.take(requester)
    if room is Room.FULL:
        metrics.UPLOADS_REFUSED.labels("bodies").inc()
        raise unavailable(
            f"{uploads.bodies.slots_max} images are being received, which is the most; try again."
        )
    if room is Room.SHARE_USED:
        raise _share_used()
    try:
        # The user may send images to other processes, too.
        async with uploads.turns.image(user) as is_free:
            if not is_free:
                raise _share_used()
            yield
    finally:
        uploads.bodies.release(requester)


def _share_used() -> Problem:
    metrics.UPLOADS_REFUSED.labels("bodies").inc()
    return too_many("As many of your images are being received as may be at once; try again.")


class UnstoredBytes:
    """The bytes of a user's images of which nothing was stored: the client did not finish them, or the
    idempotency key was used before.

    They are not counted as one of the uploads of a minute. So their bytes are: as many as the uploads of a
    minute may have. A client that repeats an upload because the response was lost stays far below.
    """

    def __init__(self, uploads: UploadService, user: UserId) -> None:
        self._uploads = uploads
        self._name = f"unstored bytes:user:{user}"
        self._arrived = 0

    def check(self) -> None:
        """Check that the user may begin another upload.

        Raises:
            Problem: 429, if the bytes of a minute are spent.
        """
        wait_s = self._uploads.limiter.wait_s(self._name, self._uploads.unstored_bytes)
        if wait_s:
            metrics.UPLOADS_REFUSED.labels("unstored_bytes").inc()
            raise too_many(
                "Your aborted and repeated uploads had as many bytes as a minute allows.", ceil(wait_s)
            )

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the pieces of the body; if the client does not finish it, charge the user with its bytes."""
        try:
            async for piece in pieces(request):
                self._arrived += len(piece)
                yield piece
        except (Problem, asyncio.CancelledError):  # Cancelled at the request's deadline.
            self.charge()
            raise

    def charge(self) -> None:
        """Charge the user with the bytes that arrived, because nothing of them was stored."""
        self._uploads.limiter.charge(self._name, self._uploads.unstored_bytes, self._arrived)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, without empty pieces.

    Raises:
        Problem: 400 if the client disconnects before the end of the body; 408 and 413 as in
            `api/http/body.py`.
    """
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise disconnected() from None
