"""Readers without a timeline all ask at once: one rebuild each, within the limits, until all are served."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from infra.local.deployment import Deployment
from schemas.ids import UserId
from shutterline.client.feed import FeedClient, RetryLater, TokenOf, feed_path
from streams.errors import StoreUnavailable
from streams.timelines.rebuild import RebuildOutcome

PAGE_PHOTOS = 20
SAMPLE_S = 0.25
# Clients double their wait from try to try up to this, with jitter.
WAIT_S_MAX = 8.0


@dataclass(slots=True)
class ColdStart:
    """What happened until everybody had a complete page."""

    took_s: float = 0.0
    rebuilds: dict[RebuildOutcome, int] = field(default_factory=dict)
    rebuilds_in_a_second_max: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0


async def cold_start(
    deployment: Deployment,
    readers: Sequence[UserId],
    token_of: TokenOf,
    *,
    processes: Sequence[str] = ("api",),
) -> ColdStart:
    """All readers ask at once, and retry until their page is complete; `processes` are those of the API."""
    start = ColdStart()
    before = await asyncio.to_thread(_outcomes, deployment, processes)
    done = asyncio.Event()
    sampling = asyncio.create_task(_fastest_second(deployment, processes, done))
    connector = aiohttp.TCPConnector(limit=0)
    for reader in readers:
        token_of(reader)  # Cached, so that making tokens takes no time later.
    began_s = time.monotonic()
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
        client = FeedClient(http, deployment.settings.api, token_of)
        await asyncio.gather(*(_until_complete(client, reader, start) for reader in readers))
    start.took_s = time.monotonic() - began_s
    done.set()
    start.rebuilds_in_a_second_max = await sampling
    after = await asyncio.to_thread(_outcomes, deployment, processes)
    start.rebuilds = {outcome: after[outcome] - before[outcome] for outcome in RebuildOutcome}
    return start


async def _until_complete(client: FeedClient, reader: UserId, start: ColdStart) -> None:
    wait_s = 1.0
    while True:
        asked_s = time.monotonic()
        try:
            body, retry_after_s = await client.get(feed_path(PAGE_PHOTOS), reader)
            answer = str(body["completeness"])
        except RetryLater as error:
            answer, retry_after_s = str(error).split(": ", 1)[-1].split(" ", 1)[0], error.retry_after_s
        except StoreUnavailable:
            answer, retry_after_s = "no answer", 1.0
        start.answers[answer] += 1
        start.slowest_s = max(start.slowest_s, time.monotonic() - asked_s)
        if answer == "complete":
            return
        await asyncio.sleep(max(retry_after_s, wait_s) * random.uniform(1.0, 2.0))
        wait_s = min(2 * wait_s, WAIT_S_MAX)


async def _fastest_second(deployment: Deployment, processes: Sequence[str], done: asyncio.Event) -> float:
    """The greatest rate over one second, or over more if the API was slow to return its metrics."""
    samples: list[tuple[float, float]] = []
    while not done.is_set():
        rebuilt = await asyncio.to_thread(_rebuilds, deployment, processes, RebuildOutcome.REBUILT)
        samples.append((time.monotonic(), rebuilt))
        await asyncio.sleep(SAMPLE_S)
    rates = [0.0]
    for index, (from_s, before) in enumerate(samples):
        later = next(((to_s, rebuilt) for to_s, rebuilt in samples[index:] if to_s - from_s >= 1), None)
        if later is not None:
            rates.append((later[1] - before) / (later[0] - from_s))
    return max(rates)


def _outcomes(deployment: Deployment, processes: Sequence[str]) -> dict[RebuildOutcome, int]:
    return {outcome: _rebuilds(deployment, processes, outcome) for outcome in RebuildOutcome}


def _rebuilds(deployment: Deployment, processes: Sequence[str], outcome: RebuildOutcome) -> int:
    name = f'shutterline_rebuilds_total{{outcome="{outcome}"}}'
    return int(sum(deployment.metric(name, process) for process in processes))
