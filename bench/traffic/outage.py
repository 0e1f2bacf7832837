"""Read feeds and post photos during an outage, and check every feed afterwards."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from bench.traffic.removing import PAGE_PHOTOS, Removing
from bench.traffic.requests import NO_ANSWER, Requests
from bench.traffic.writing import Writing, store_originals
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient, Json, feed_path

OUTAGE_S = 6.0
DEADLINE_S = 2.0  # settings.request_deadline_ms: how long the API may take for a request.
SLOW_S = 2.0  # How long a slow server takes for each answer.
READ_EVERY_S = 0.05
READERS_AT_ONCE = 4
PHOTOS_BEFORE = PHOTOS_AFTER = 50
DRAIN_S_MAX = 240.0


@dataclass(slots=True)
class Reading:
    """Readers who ask for their feed again and again.

    `answers` has, for each request, the status, the page's completeness ("" for an error) and the
    seconds that the request took. The status is `NO_ANSWER` if the connection failed. `statuses` counts the
    responses to writes, by kind of request and status. `deleted` are photos that no page may have any more.
    """

    client: FeedClient
    deleted: Sequence[PhotoId]
    answers: list[tuple[int, str, float]] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    going: bool = True

    async def run(self, reader: UserId) -> None:
        """Read until `going` is false.

        Raises:
            AssertionError: An error came without a Retry-After header, or a page had a deleted photo.
        """
        while self.going:
            began, deleted = time.monotonic(), set(map(str, self.deleted))
            status, body = await self._page(reader)
            self.answers.append((status, body.get("completeness", ""), time.monotonic() - began))
            if ghosts := deleted & {item["photo_id"] for item in body.get("items", ())}:
                raise AssertionError(f"deleted, and in the feed of {reader}: {ghosts}")
            await asyncio.sleep(READ_EVERY_S)

    async def _page(self, reader: UserId) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {self.client.token_of(reader)}"}
        try:
            async with self.client.http.get(
                f"{self.client.api}{feed_path(PAGE_PHOTOS)}", headers=headers
            ) as answer:
                body: Json = await answer.json(content_type=None)
                if answer.status != 200 and "Retry-After" not in answer.headers:
                    raise AssertionError(f"status {answer.status} without Retry-After")
        except aiohttp.ClientError:
            return NO_ANSWER, {}
        return answer.status, body


async def outage(
    deployment: Deployment,
    begin: Callable[[], object],
    end: Callable[[], object],
    *,
    outage_s: float = OUTAGE_S,
    uploads: bool = False,
) -> Reading:
    """Read and write before, during and after an outage of `outage_s`; returns what the readers saw.

    Half of the readers have a timeline before it begins. `uploads` needs a worker that makes renditions.

    Raises:
        AssertionError: A feed afterwards is not every photo, once, newest first, a write is lost, or a page
            had what was removed before it was asked for.
    """
    everybody, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        for reader in everybody[::2]:
            await feed_of(client, reader)
        posting, requests = Posting(deployment, authors), Requests(client)
        await posting.until(PHOTOS_BEFORE)
        writing = Writing(requests, posting, await store_originals(deployment) if uploads else [])
        removing = Removing(requests, posting)
        reading = Reading(client, removing.deleted)
        readers = [asyncio.create_task(reading.run(reader)) for reader in everybody[:READERS_AT_ONCE]]
        # In a thread, because some commands take seconds, and the load goes on.
        await asyncio.to_thread(begin)
        await asyncio.sleep(outage_s)
        await asyncio.to_thread(end)
        await posting.until(PHOTOS_AFTER)
        await posting.stop()
        await writing.stop()
        await removing.stop()
        reading.going = False
        await asyncio.gather(*readers)
        await deployment.drained(DRAIN_S_MAX)
        await writing.check()
        reading.statuses = requests.statuses
        newest_first = sorted({*posting.photos, *writing.uploaded} - {*removing.deleted}, reverse=True)
        for reader in everybody:
            if await feed_of(client, reader) != newest_first:
                raise AssertionError(f"the feed of {reader} is not every photo, once, newest first")
    return reading
