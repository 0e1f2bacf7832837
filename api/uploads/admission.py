"""Whether an upload may begin now: Kafka answers, the queue is short enough, the user has not begun many."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from api.http.metrics import UPLOADS_REFUSED
from api.http.problems import Problem, unavailable
from api.services import UploadService
from schemas.ids import PhotoId, UserId
from streams.core.uploads import Upload
from streams.errors import StoreUnavailable

# A queue of half a million renditions takes minutes to get shorter.
QUEUE_RETRY_S = 10


async def admit(service: UploadService) -> None:
    """Refuse before anything is begun what could not be finished.

    Raises:
        Problem: 503, while more renditions wait than may.
        StoreUnavailable: Kafka does not answer.
    """
    try:
        await service.publisher.ping()
        queued = await service.queue.queued()
    except StoreUnavailable:
        UPLOADS_REFUSED.labels("kafka").inc()
        raise
    most = service.settings.renditions_queued_max
    if queued > most:
        UPLOADS_REFUSED.labels("queue").inc()
        detail = f"{queued} renditions wait to be made, more than {most}; try again later."
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(QUEUE_RETRY_S)})


@asynccontextmanager
async def body_slot(service: UploadService) -> AsyncIterator[None]:
    """One of the bodies that may arrive at once; 503 where there is none left."""
    if service.bodies.locked():
        UPLOADS_REFUSED.labels("bodies").inc()
        most = service.settings.upload_bodies_in_flight_max
        raise unavailable(f"{most} images are being received, which is the most; try again.")
    async with service.bodies:
        yield


@asynccontextmanager
async def counted(
    service: UploadService, user: UserId, photo: PhotoId, key: str | None
) -> AsyncIterator[None]:
    """Count the upload against the user's limit; not if what is done inside fails.

    An upload with a key is counted by it, so that several requests with one key are one.

    Raises:
        Problem: 429, where the user has begun too many.
        StoreUnavailable: The limit is not known.
    """
    await _count(service, user, photo, key)
    try:
        yield
    except BaseException:
        # What cannot be given back is forgotten in a minute.
        with suppress(StoreUnavailable):
            if key is None or await service.stores.uploads.claimed(user, key) is None:
                await service.stores.upload_limit.give_back(user, _name(photo, key))
        raise


async def count_again(service: UploadService, upload: Upload, key: str | None) -> None:
    """Another request with the key may have given back what counted for both; nobody is refused here."""
    if key is not None:
        await service.stores.upload_limit.take(upload.author_id, _name(upload.photo_id, key))


async def _count(service: UploadService, user: UserId, photo: PhotoId, key: str | None) -> None:
    try:
        wait_ms = await service.stores.upload_limit.take(user, _name(photo, key))
    except StoreUnavailable:
        UPLOADS_REFUSED.labels("redis").inc()
        raise
    if wait_ms is not None:
        UPLOADS_REFUSED.labels("limit").inc()
        detail = (
            f"You have begun {service.settings.uploads_per_minute} uploads in a minute, which is the most."
        )
        retry_after_s = -(-wait_ms // 1_000)
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(retry_after_s)})


def _name(photo: PhotoId, key: str | None) -> str:
    return f"photo {photo}" if key is None else f"key {key}"
