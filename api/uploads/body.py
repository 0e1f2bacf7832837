"""The body of an upload request, as it arrives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from api.http.problems import Problem, unavailable
from api.services import UploadService
from streams import metrics


@asynccontextmanager
async def body_slot(uploads: UploadService) -> AsyncIterator[None]:
    """Hold one of the slots for images that arrive at once.

    Raises:
        Problem: 503, if no slot is free.
    """
    if uploads.bodies.locked():
        metrics.UPLOADS_REFUSED.labels("bodies").inc()
        raise unavailable(f"{uploads.bodies_max} images are being received, which is the most; try again.")
    async with uploads.bodies:
        yield


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
        raise Problem(HTTPStatus.BAD_REQUEST, "The connection ended before the body did.") from None
