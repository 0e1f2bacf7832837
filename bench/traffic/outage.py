"""Read and post through an outage, and check every feed afterwards."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from infra.local.deployment import Deployment
from schemas.ids import UserId
from shutterline.client.feed import FeedClient, feed_path

OUTAGE_S = 6.0


DEADLINE_S = 2.0  # settings.request_deadline_ms


SLOW_S = 2.0


@dataclass(slots=True)
class Reading:
    """Readers who ask all the time; what they were answered, and after how many seconds."""

    client: FeedClient
    answers: list[tuple[int, str, float]] = field(default_factory=list)
    going: bool = True

    async def run(self, reader: UserId) -> None:
        headers = {"Authorization": f"Bearer {self.client.token_of(reader)}"}
        while self.going:
            began = time.monotonic()
            async with self.client.http.get(f"{self.client.api}{feed_path(20)}", headers=headers) as answer:
                body = await answer.json(content_type=None)
                if answer.status != 200 and "Retry-After" not in answer.headers:
                    raise AssertionError(f"status {answer.status} without Retry-After")
            self.answers.append((answer.status, body.get("completeness", ""), time.monotonic() - began))
            await asyncio.sleep(0.05)


async def outage(
    deployment: Deployment, begin: Callable[[], None], end: Callable[[], None], *, outage_s: float = OUTAGE_S
) -> Reading:
    """Read and post through an outage; afterwards every feed is whole."""
    everybody, authors = await everybody_follows_everybody(deployment)
    async with client_of(deployment) as client:
        for reader in everybody[::2]:
            await feed_of(client, reader)
        posting, reading = Posting(deployment, authors), Reading(client)
        readers = [asyncio.create_task(reading.run(reader)) for reader in everybody[:4]]
        await posting.until(50)
        begin()
        await asyncio.sleep(outage_s)
        end()
        await posting.until(50)
        await posting.stop()
        reading.going = False
        await asyncio.gather(*readers)
        await deployment.drained(240)
        for reader in everybody:
            if await feed_of(client, reader) != posting.newest_first:
                raise AssertionError(f"the feed of {reader} is not every photo, once, newest first")
    return reading
