"""The body of an upload request, as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable
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


class AbortedBytes:
    """The bytes of a user's uploads that the client did not finish.

    An aborted upload is not counted as one of the uploads of a minute. So its bytes are: as many as
    the uploads of a minute may have.
    """

    def __init__(self, uploads: UploadService, user: UserId) -> None:
        self._uploads = uploads
        self._name = f"aborted bytes:user:{user}"

    def check(self) -> None:
        """Check that the user may begin another upload.

        Raises:
            Problem: 429, if the bytes of a minute are spent.
        """
        wait_s = self._uploads.limiter.wait_s(self._name, self._uploads.aborted_bytes)
        if wait_s:
            metrics.UPLOADS_REFUSED.labels("aborted_bytes").inc()
            raise too_many("Your aborted uploads had as many bytes as a minute allows.", ceil(wait_s))

    def charge(self, size_bytes: int) -> None:
        self._uploads.limiter.charge(self._name, self._uploads.aborted_bytes, size_bytes)


async def pieces(request: Request, on_abort: Callable[[int], None] = lambda _: None) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, without empty pieces.

    If the client does not finish the body, `on_abort` is called with the bytes that arrived.

    Raises:
        Problem: 400 if the client disconnects before the end of the body; 408 and 413 as in
            `api/http/body.py`.
    """
    received = 0
    try:
        async for piece in request.stream():
            received += len(piece)
            if piece:
                yield piece
    except ClientDisconnect:
        on_abort(received)
        raise disconnected() from None
    except (Problem, asyncio.CancelledError):  # Cancelled at the request's deadline.
        on_abort(received)
        raise
