"""Post photos in the background while a test or a bench does something to the pipeline."""

import asyncio
from collections.abc import Sequence

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import Producer
from streams.retrying import with_backoff

READERS = 40
AUTHORS = 10
BATCH_EVERY_S = 0.3  # One photo of each author a batch: 10 / 0.3 = 33 photos a second.
MORE_PHOTOS_S_MAX = 60.0
LOOK_S = 0.05
ACKNOWLEDGE_MS_MAX = 60_000
RETRY_S_MAX = 1.0


class Posting:
    """Posts a photo of each of `authors` every `BATCH_EVERY_S`, from its construction until `stop`.

    `photos` has what was posted so far, also what Kafka has not acknowledged yet.
    """

    def __init__(self, deployment: Deployment, authors: Sequence[UserId]) -> None:
        self.deployment = deployment
        self.authors = authors
        self.photos: list[PhotoId] = []
        self._going = True
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        retrying = with_backoff(on=StoreUnavailable, first_s=BATCH_EVERY_S, max_s=RETRY_S_MAX)
        async with Producer(self.deployment.settings, timeout_ms=ACKNOWLEDGE_MS_MAX) as producer:
            while self._going:
                batch = fresh_photo_ids(len(self.authors))
                self.photos.extend(batch)
                # Kafka may refuse. The events may be published nevertheless, and then are there twice.
                await retrying(
                    producer.send,
                    [
                        upload(self.deployment, photo, author)
                        for photo, author in zip(batch, self.authors, strict=True)
                    ],
                )
                await asyncio.sleep(BATCH_EVERY_S)

    async def stop(self) -> None:
        """Post no more; returns when Kafka has acknowledged the last batch."""
        self._going = False
        await self._task

    async def until(self, more: int) -> None:
        """Wait until `more` photos are posted.

        Raises:
            TimeoutError: They were not within `MORE_PHOTOS_S_MAX`.
        """
        wanted = len(self.photos) + more
        async with asyncio.timeout(MORE_PHOTOS_S_MAX):
            while len(self.photos) < wanted:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(LOOK_S)

    @property
    def newest_first(self) -> list[PhotoId]:
        return sorted(self.photos, reverse=True)


async def everybody_follows_everybody(deployment: Deployment) -> tuple[list[UserId], list[UserId]]:
    """Make new readers and new authors, and let every reader follow every author; returns both."""
    readers, authors = fresh_users(READERS), fresh_users(AUTHORS)
    await deployment.publish(
        follows(deployment, [(reader, author) for reader in readers for author in authors])
    )
    await deployment.drained()
    return readers, authors
