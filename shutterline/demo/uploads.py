"""The demo's uploads: pictures that go through the HTTP API and become renditions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from schemas.ids import PhotoId, UserId
from shutterline.client.upload import PhotoFile, UploadClient
from shutterline.demo.picture import draw
from shutterline.failures import CommandFailed
from streams.gathering import gather_bounded

PICTURES = 12
# The larger ones are uploaded in parts, like the photos of a phone.
WIDTHS = (1_600, 6_000)
UPLOADS_AT_ONCE = 2
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The uploaded photos; `ready_s`: seconds from the end of each upload until it is ready."""

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

    async def upload(numbered: tuple[int, UserId]) -> tuple[PhotoId, int, float]:
        number, author = numbered
        path = folder / f"evening-{number}.jpg"
        file = await asyncio.to_thread(_drawn, number + 1, WIDTHS[number % len(WIDTHS)], path)
        photo = await client.upload(author, file, f"Evening no. {number + 1}", lambda _: None)
        began_s = perf_counter()
        shown = await client.settled(author, photo, READY_S)
        if shown["status"] != "ready":
            raise CommandFailed(
                f"Photo {photo} is {shown['status']} ({shown['reason']}) after {READY_S:.0f} s; "
                "`shutterline status` shows whether the media worker runs, and .local/log has its log"
            )
        advance(1)
        return photo, file.size_bytes, perf_counter() - began_s

    done = await gather_bounded(enumerate(authors), upload, at_once=UPLOADS_AT_ONCE)
    return Uploaded(
        photos=[photo for photo, _, _ in done],
        size_bytes=sum(size for _, size, _ in done),
        ready_s=[ready_s for _, _, ready_s in done],
    )


def _drawn(number: int, width: int, path: Path) -> PhotoFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(number, width).jpegsave(str(path), Q=95)
    return PhotoFile.of(path, path.stat().st_size)
