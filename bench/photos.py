"""Real photos through the whole pipeline: HTTP, bucket, renditions, feeds, CDN edge; and hostile files.

    python -m bench.photos FOLDER [--photos 200]

FOLDER has images.tsv and the files that it names. A third of the photos is padded with metadata, so
that they are uploaded in parts; each of these uploads is cut half-way and then resumed. The feed of
a follower is watched all the time: each photo in it must have a thumbnail that can be fetched
through the CDN edge. Then every file that is not good is uploaded, with a good photo after each
tenth, while the memory of the media worker and its children is watched.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.progress import Progress

from bench.measuring.media_checks import faults, missing
from bench.measuring.photo_files import Listed, heavy, listed
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import ApiRefused, Json, feed_path
from shutterline.client.upload import UploadClient, upload_client
from shutterline.tokens import tokens_for
from streams.errors import StoreUnavailable

READER = UserId(1)
AUTHORS = [UserId(100 + number) for number in range(40)]
AT_ONCE = 4
READY_S = 120.0
LOOK_S = 0.05
MIB = 1024 * 1024
WEBP = "image/webp"


@dataclass(slots=True)
class Run:
    """One client, and what was seen."""

    client: UploadClient
    media_pid: int
    seen: dict[str, bool] = field(
        default_factory=dict
    )  # Photos of the reader's feed: was the thumbnail there?
    memory_bytes_max: int = 0
    faults: list[str] = field(default_factory=list)

    async def watch_feed(self) -> None:
        """Fetch the thumbnail of each photo that the feed shows for the first time. Runs until cancelled."""
        while True:
            with suppress(StoreUnavailable, ApiRefused):
                page = await self.client.ask("GET", feed_path(100), READER)
                for item in page["items"]:
                    if item["photo_id"] not in self.seen:
                        self.seen[item["photo_id"]] = await self._has_thumbnail(item)
            await asyncio.sleep(LOOK_S)

    async def _has_thumbnail(self, item: Json) -> bool:
        made = item["renditions"].get("thumbnail")
        if item["status"] != "ready" or made is None:
            return False
        async with self.client.http.get(made["url"]) as answer:
            return answer.status == 200

    async def watch_memory(self) -> None:
        """Measure the memory of the media worker and its children. Runs until cancelled."""
        while True:
            self.memory_bytes_max = max(
                self.memory_bytes_max, await asyncio.to_thread(_memory, self.media_pid)
            )
            await asyncio.sleep(LOOK_S)

    async def upload(self, number: int, photo: Listed, *, cut: bool) -> PhotoId:
        author = AUTHORS[number % len(AUTHORS)]
        caption = f"no. {number}"
        if cut:
            await self._cut(author, photo, caption)
        return await self.client.upload(author, photo.file, caption, lambda _: None)

    async def _cut(self, author: UserId, photo: Listed, caption: str) -> None:
        """Begin the upload, send one whole part and half of another, and cut the connection."""
        file = photo.file
        body = {"content_type": file.content_type, "bytes": file.size_bytes, "caption": caption}
        headers = {"Idempotency-Key": file.key(caption)}
        begun = await self.client.ask("POST", "/v1/photos", author, json=body, headers=headers)
        parts = begun["upload"]["parts"]
        content = await asyncio.to_thread(file.path.read_bytes)
        size_bytes = begun["upload"]["part_bytes"]
        async with self.client.http.put(
            parts[0]["url"], data=content[:size_bytes], headers=parts[0]["headers"]
        ) as answer:
            answer.raise_for_status()
        await _half(parts[1], content[size_bytes:])
        left = await self.client.ask("GET", f"/v1/photos/{begun['photo_id']}/upload", author)
        arrived = [part["number"] for part in left["upload"]["parts"] if part["arrived"]]
        if arrived != [1]:
            self.faults.append(f"{file.path.name}: parts {arrived} have arrived, but only the first did")

    async def check(self, number: int, photo: Listed, photo_id: PhotoId) -> None:
        """Wait for all four renditions, fetch them through the CDN edge, and check their content."""
        author, deadline = AUTHORS[number % len(AUTHORS)], time.monotonic() + READY_S
        while True:
            shown = await self.client.ask("GET", f"/v1/photos/{photo_id}", author)
            if shown["status"] == "rejected" or not missing(shown["renditions"]):
                break
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_S)
        name = photo.file.path.name
        if shown["status"] != "ready" or missing(shown["renditions"]):
            self.faults.append(f"{name}: {shown['status']} {shown['reason']} {missing(shown['renditions'])}")
            return
        for name_of_rendition, rendition in shown["renditions"].items():
            async with self.client.http.get(rendition["url"]) as answer:
                if answer.status != 200:
                    self.faults.append(
                        f"{name}: the CDN edge returns {answer.status} for {name_of_rendition}"
                    )
                    continue
                body = await answer.read()
                wrong = faults(name_of_rendition, rendition, body, photo.width, photo.height)
                self.faults.extend(f"{name}: {fault}" for fault in wrong)


async def _half(part: Json, content: bytes) -> None:
    """Send half of a part's bytes over a separate connection, and abort the connection."""
    address = urlsplit(part["url"])
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"PUT {address.path}?{address.query} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in part["headers"].items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content[: len(content) // 2])
    await writer.drain()
    writer.transport.abort()


def _memory(pid: int) -> int:
    """Proportional memory, which counts shared pages once."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
    return total


async def good_photos(run: Run, photos: Sequence[Listed], cut: int, console: Console) -> None:
    """Upload and check the photos; the first `cut` are uploaded in parts and interrupted."""
    slots = asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("uploading real photos", total=len(photos))

        async def one(number: int, photo: Listed) -> PhotoId:
            async with slots:
                photo_id = await run.upload(number, photo, cut=number < cut)
                await run.check(number, photo, photo_id)
                progress.advance(task)
                return photo_id

        ids = await asyncio.gather(*(one(number, photo) for number, photo in enumerate(photos)))
    took_s = time.monotonic() - began
    await asyncio.sleep(2.0)  # Time for the last photos to appear in the feed.
    early = [photo for photo, had in run.seen.items() if not had]
    console.print(
        f"{len(ids)} photos, {cut} of them by parts that were cut and resumed: {took_s:.1f} s; "
        f"{len(run.faults)} faults; {len(run.seen)} of {len(set(ids))} seen in the follower's feed, "
        f"{len(early)} of them before their thumbnail was there"
    )
    for fault in [*run.faults, *(f"{photo} was seen too early" for photo in early)]:
        console.print(f"  {fault}", markup=False, highlight=False)


async def hostile_files(run: Run, files: Sequence[Listed], good: Listed, console: Console) -> None:
    """Upload one after the other, with a good photo after each tenth, and measure how long that one takes."""
    became: Counter[str] = Counter()
    ready_s: list[float] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("uploading hostile files", total=len(files))
        for number, hostile in enumerate(files):
            author = AUTHORS[number % len(AUTHORS)]
            photo = await run.upload(number, hostile, cut=False)
            if number % 10 == 0:
                began = time.monotonic()
                other = await run.client.upload(author, good.file, f"good after {number}", lambda _: None)
                shown = await run.client.settled(author, other, READY_S)
                ready_s.append(time.monotonic() - began)
                if shown["status"] != "ready":
                    run.faults.append(f"the good photo after {hostile.file.path.name} is {shown['status']}")
            shown = await run.client.settled(author, photo, READY_S)
            became[f"{shown['status']} {shown['reason'] or ''}".strip()] += 1
            if shown["status"] == "processing":
                run.faults.append(f"{hostile.file.path.name} is still processing")
            progress.advance(task)
    console.print(
        f"{len(files)} hostile or broken files: {dict(became)}; a good photo beside them is ready after "
        f"{percentiles(ready_s)}, at most {max(ready_s):.2f} s; media worker and children at most "
        f"{run.memory_bytes_max / MIB:.0f} MiB; {len(run.faults)} faults"
    )
    for fault in run.faults:
        console.print(f"  {fault}", markup=False, highlight=False)


async def run_all(arguments: argparse.Namespace, console: Console) -> None:
    files = listed(arguments.folder)
    good = sorted((photo for photo in files if photo.is_good), key=lambda photo: -photo.file.size_bytes)
    with bench_stack() as stack:
        deployment = Deployment(
            stack,
            "",
            {"SHUTTERLINE_UPLOADS_PER_MINUTE": "100000"},
        )
        deployment.prepare()
        deployment.start_worker()
        media = deployment.start_media()
        deployment.start_api()
        follows = [UserFollowed(follower_id=READER, followee_id=author) for author in AUTHORS]
        await deployment.publish(deployment.outgoing(follow) for follow in follows)
        await deployment.drained()
        settings = deployment.settings
        async with upload_client(settings, tokens_for(settings), waiting=lambda _: None) as client:
            run = Run(client, media.pid or 0)
            watching = [asyncio.create_task(run.watch_feed()), asyncio.create_task(run.watch_memory())]
            cut = arguments.photos // 3
            with tempfile.TemporaryDirectory() as folder:
                by_parts = [photo for photo in good if photo.file.content_type != WEBP][:cut]
                plain = [photo for photo in good if photo not in by_parts][: arguments.photos - cut]
                padded = [heavy(photo, Path(folder)) for photo in by_parts]
                await good_photos(run, [*padded, *plain], cut, console)
            run.faults.clear()
            await hostile_files(run, [photo for photo in files if not photo.is_good], good[0], console)
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        if media.pid != run.media_pid:
            console.print(f"the media worker was lost:\n{media.log_tail()}", markup=False)
        deployment.stop()


def main() -> None:
    asyncio.run(run_all(bench_arguments(__doc__, "folder", photos=200), Console()))


if __name__ == "__main__":
    main()
