"""The demo's uploads: pictures that go through the HTTP API, become renditions, and are seen at the edge."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from schemas.ids import PhotoId, UserId
from shutterline.client.upload import PhotoFile, UploadClient
from shutterline.demo.picture import draw
from shutterline.failures import CommandFailed

PICTURES = 12
# The larger ones go by parts, like a phone's photos.
WIDTHS = (1_600, 6_000)
UPLOADS_AT_ONCE = 2
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of the pictures; `ready_s` is from the upload's end to the thumbnail, of each."""

    photos: Sequence[PhotoId]
    size_bytes: int
    ready_s: Sequence[float]


async def upload_pictures(
    client: UploadClient, authors: Sequence[UserId], folder: Path, advance: Callable[[int], None]
) -> Uploaded:
    """Draw a picture for each of `authors`, upload it, and wait until it is ready.

    Raises:
        CommandFailed: One was rejected or did not become ready in time.
        StoreUnavailable: The API or the media bucket did not answer.
    """
    slots = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def one(number: int, author: UserId) -> tuple[PhotoId, int, float]:
        async with slots:
            path = folder / f"evening-{number}.jpg"
            width = WIDTHS[number % len(WIDTHS)]
            file = await asyncio.to_thread(_drawn, number + 1, width, path)
            photo = await client.upload(author, file, f"Evening no. {number + 1}", lambda _: None)
            began_s = perf_counter()
            seen = await client.settled(author, photo, READY_S)
            if seen["status"] != "ready":
                raise CommandFailed(
                    f"Photo {photo} is {seen['status']} ({seen['reason']}) after {READY_S:.0f} s; "
                    "`shutterline status` shows whether the media worker runs, and .local/log has its log"
                )
            advance(1)
            return photo, file.size_bytes, perf_counter() - began_s

    done = await asyncio.gather(*(one(number, author) for number, author in enumerate(authors)))
    return Uploaded(
        photos=[photo for photo, _, _ in done],
        size_bytes=sum(size for _, size, _ in done),
        ready_s=[ready_s for _, _, ready_s in done],
    )


def _drawn(number: int, width: int, path: Path) -> PhotoFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(number, width).jpegsave(str(path), Q=95)
    return PhotoFile.of(path, path.stat().st_size)
