"""Request feed pages at a steady rate, open loop: each when it is due, even if others are open.

The time of a page starts when the page was due. A slow response therefore cannot hide the wait of
the next pages, and if this client is late, its delay counts as part of the time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from infra.local.deployment import Deployment
from schemas.ids import UserId
from shutterline.client.feed import TokenOf, feed_path

PAGE_PHOTOS = 20
COMPLETENESS = b'"completeness":"'


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds and bytes of each page, and how often each status and completeness was returned."""

    took_s: list[float] = field(default_factory=list)
    page_bytes: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


async def steady(
    deployment: Deployment, readers: Sequence[UserId], token_of: TokenOf, rate: int, seconds: float
) -> Load:
    """Ask for first pages of the readers in turn, `rate` a second."""
    load = Load()
    headers = [{"Authorization": f"Bearer {token_of(reader)}"} for reader in readers]
    url = f"{deployment.settings.api}{feed_path(PAGE_PHOTOS)}"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:

        async def one(number: int, due_s: float) -> None:
            await asyncio.sleep(due_s - time.monotonic())
            async with http.get(url, headers=headers[number % len(headers)]) as answer:
                body = await answer.read()
            load.took_s.append(time.monotonic() - due_s)
            load.page_bytes.append(len(body))
            load.answers[f"{answer.status} {_completeness(body)}".strip()] += 1

        begin_s = time.monotonic()
        await asyncio.gather(*(one(number, begin_s + number / rate) for number in range(int(rate * seconds))))
    return load


def _completeness(body: bytes) -> str:
    # Search from the end of the body, because parsing 40 kB of JSON would cost as much as the
    # request.
    at = body.rfind(COMPLETENESS)
    return "" if at < 0 else body[at + len(COMPLETENESS) :].split(b'"', 1)[0].decode()
