"""Decides whether an upload may begin.

Kafka must respond, the queue of renditions must be short enough, and the user must be below the
limit.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams import metrics
from streams.core.uploads import Upload
from streams.errors import StoreUnavailable
from streams.ports.publishing import EventPublisher
from streams.ports.uploads import UploadLimit, Uploads
from streams.settings import UploadSettings
from streams.uploads.errors import QueueTooLong, TooManyUploads


class RenditionsQueue(Protocol):
    """The tasks that the media workers have not finished."""

    async def queued(self) -> int:
        """Return how many renditions were waiting to be made, some seconds ago.

        Raises:
            StoreUnavailable: The number is not known.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadAdmission:
    """Decides whether one more upload may begin."""

    publisher: EventPublisher
    queue: RenditionsQueue
    limit: UploadLimit
    uploads: Uploads
    settings: UploadSettings

    async def admit(self) -> None:
        """Refuse an upload that could not be finished, before anything of it is written.

        Raises:
            QueueTooLong: More renditions are queued than `renditions_queued_max`.
            StoreUnavailable: Kafka did not respond, or the length of the queue is not known.
        """
        try:
            await self.publisher.ping()
            queued = await self.queue.queued()
        except StoreUnavailable:
            metrics.UPLOADS_REFUSED.labels("kafka").inc()
            raise
        queued_max = self.settings.renditions_queued_max
        if queued > queued_max:
            metrics.UPLOADS_REFUSED.labels("queue").inc()
            raise QueueTooLong(queued, queued_max)

    @asynccontextmanager
    async def counted(self, user: UserId, photo: PhotoId, key: str | None) -> AsyncIterator[None]:
        """Count the upload against the user's limit, but not if the code inside the context fails.

        An upload with an idempotency key is counted by its key, so that racing requests with the
        same key count once. If one of them fails but the key is claimed, the count is not given
        back.

        Raises:
            TooManyUploads: The user's limit is reached.
            StoreUnavailable: The user's count is not known.
        """
        name = _name(photo, key)
        await self._take(user, name)
        try:
            yield
        except BaseException:
            # If the count cannot be given back, it expires after a minute.
            with suppress(StoreUnavailable):
                if key is None or await self.uploads.claimed(user, key) is None:
                    await self.limit.give_back(user, name)
            raise

    async def count_again(self, upload: Upload, key: str | None) -> None:
        """Restore the count that a failed request with the same key may have given back.

        The upload was admitted before, so it continues even if the limit is reached now.
        """
        if key is not None:
            await self.limit.take(upload.author_id, _name(upload.photo_id, key))

    async def _take(self, user: UserId, name: str) -> None:
        try:
            wait_ms = await self.limit.take(user, name)
        except StoreUnavailable:
            metrics.UPLOADS_REFUSED.labels("redis").inc()
            raise
        if wait_ms is not None:
            metrics.UPLOADS_REFUSED.labels("limit").inc()
            raise TooManyUploads(self.settings.uploads_per_minute, wait_ms)


def _name(photo: PhotoId, key: str | None) -> str:
    return f"photo {photo}" if key is None else f"key {key}"
