"""Posts that go on in the background while something is done to the pipeline."""

import asyncio
from collections.abc import Sequence

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from streams.kafka.producing.producer import Producer

READERS = 40


AUTHORS = 10


MORE_S_MAX = 60.0


PAUSE_S = 0.3  # 33 photos a second.


class Posting:
    """Posts of `authors` go on in the background until it is stopped."""

    def __init__(self, deployment: Deployment, authors: Sequence[UserId]) -> None:
        self.deployment = deployment
        self.authors = authors
        self.photos: list[PhotoId] = []
        self._going = True
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with Producer(self.deployment.settings, timeout_ms=60_000) as producer:
            while self._going:
                batch = fresh_photo_ids(len(self.authors))
                self.photos.extend(batch)
                await producer.send(
                    [
                        upload(self.deployment, photo, author)
                        for photo, author in zip(batch, self.authors, strict=True)
                    ]
                )
                await asyncio.sleep(PAUSE_S)

    async def stop(self) -> None:
        self._going = False
        await self._task

    async def until(self, more: int) -> None:
        """Wait for `more` photos."""
        wanted = len(self.photos) + more
        async with asyncio.timeout(MORE_S_MAX):
            while len(self.photos) < wanted:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.05)

    @property
    def newest_first(self) -> list[PhotoId]:
        return sorted(self.photos, reverse=True)


async def everybody_follows_everybody(deployment: Deployment) -> tuple[list[UserId], list[UserId]]:
    """New readers, and new authors whom each of them follows."""
    readers, authors = fresh_users(READERS), fresh_users(AUTHORS)
    await deployment.publish(
        follows(deployment, [(reader, author) for reader in readers for author in authors])
    )
    await deployment.drained()
    return readers, authors
