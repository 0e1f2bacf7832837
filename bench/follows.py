"""How soon a follow of an author with 1,000 photos fills the reader's feed and stored timeline.

    python -m bench.follows [--follows 300] [--rate 5]

Readers with a timeline follow over HTTP at a steady rate. The bench prints how long the follow and
the next page took, whether that page had the author's last 20 photos in order, and how long after
the follow's response the stored timeline contained the author's newest 500.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field

from rich.console import Console

from bench.measuring.freshness import GIVE_UP_S, LOOK_S, materialise
from bench.measuring.running import TimedClient, bench_arguments, bench_stack, percentiles, timed_client
from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from streams.core import ring
from streams.ports.groups import Stores
from streams.stores.connect import connect

AUTHORS = [UserId(number) for number in range(1, 4)]
READER_FROM = 1_000
PHOTOS_EACH = 1_000
STORED = 500  # settings.timeline_ids
PAGE_PHOTOS = 20


@dataclass(slots=True)
class Follows:
    """What was measured after each follow, in seconds."""

    asked_s: list[float] = field(default_factory=list)
    page_s: list[float] = field(default_factory=list)
    filled_s: list[float] = field(default_factory=list)
    wrong_pages: int = 0


async def follow(
    client: TimedClient, stores: Stores, reader: UserId, author: UserId, newest: list[PhotoId], seen: Follows
) -> None:
    headers = {"Authorization": f"Bearer {client.token_of(reader)}"}
    began_s = time.monotonic()
    async with client.http.put(f"{client.api}/v1/social/follow/{author}", headers=headers) as answer:
        answer.raise_for_status()
    followed_s = time.monotonic()
    seen.asked_s.append(followed_s - began_s)
    page = await client.page(reader, limit=PAGE_PHOTOS)
    seen.page_s.append(time.monotonic() - followed_s)
    seen.wrong_pages += [item["photo_id"] for item in page.items] != [
        str(photo) for photo in newest[:PAGE_PHOTOS]
    ]
    wanted = set(newest[:STORED])
    while True:
        value = await stores.timelines.read(reader)
        if value is not None and wanted <= ring.parse(value).ids:
            break
        if time.monotonic() - followed_s > GIVE_UP_S:
            raise TimeoutError(f"the timeline of {reader} is not filled after {GIVE_UP_S:.0f} s")
        await asyncio.sleep(LOOK_S)
    seen.filled_s.append(time.monotonic() - followed_s)


async def run(arguments: argparse.Namespace, console: Console) -> None:
    readers = [UserId(READER_FROM + number) for number in range(arguments.follows)]
    seen = Follows()
    with bench_stack() as stack:
        deployment = Deployment(stack, "")
        deployment.prepare()
        deployment.start_all()
        newest: dict[UserId, list[PhotoId]] = {}
        async with (
            connect(deployment.settings, timeout_ms=60_000) as stores,
            timed_client(deployment) as client,
        ):
            with console.status("making the authors' photos"):
                for author in AUTHORS:
                    photos = fresh_photo_ids(PHOTOS_EACH, age_ms=3_600_000)
                    newest[author] = sorted(photos, reverse=True)
                    await deployment.publish(upload(deployment, photo, author) for photo in photos)
                await deployment.drained(600)
                for reader in readers:
                    await materialise(stores, reader)

            async def later(number: int) -> None:
                await asyncio.sleep(number / arguments.rate)
                author = AUTHORS[number % len(AUTHORS)]
                await follow(client, stores, readers[number], author, newest[author], seen)

            await asyncio.gather(*(later(number) for number in range(arguments.follows)))
        deployment.stop()
    console.print(f"{arguments.follows} follows, {arguments.rate} a second: {percentiles(seen.asked_s)}")
    console.print(f"the next page: {percentiles(seen.page_s)}; {seen.wrong_pages} without the last 20")
    console.print(f"the stored timeline filled: {percentiles(seen.filled_s)}")


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, follows=300, rate=5.0), Console()))


if __name__ == "__main__":
    main()
