"""What the benches share: a stack of their own, feeds over HTTP, and percentiles."""

import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.client.feed import FeedClient, Json, feed_client
from shutterline.tokens import tokens_for

# Another folder lets two benches go on side by side, for those who only try them.
HOME = Path(os.environ.get("SHUTTERLINE_BENCH_HOME", ".local/bench"))


@contextmanager
def bench_stack() -> Iterator[Stack]:
    """A fresh stack that ends with the bench."""
    stack = Stack(HOME, dies_with_parent=True)
    stack.clean()
    stack.start_servers()
    try:
        yield stack
    finally:
        stack.stop()


@dataclass(frozen=True, slots=True)
class TimedClient(FeedClient):
    """Keeps how long each request took, in seconds."""

    took_s: list[float] = field(default_factory=list)

    async def get(self, path: str, user: UserId) -> tuple[Json, float]:
        began_s = time.perf_counter()
        try:
            return await FeedClient.get(self, path, user)  # super() finds no class with slots made anew.
        finally:
            self.took_s.append(time.perf_counter() - began_s)


@asynccontextmanager
async def timed_client(deployment: Deployment) -> AsyncIterator[TimedClient]:
    """A client that reads feeds as the apps do."""
    async with feed_client(deployment.settings, tokens_for(deployment.settings)) as client:
        yield TimedClient(client.http, client.api, client.token_of)


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    if len(seconds) < 2:
        return "too few"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return " ".join(f"p{at} {1_000 * cuts[at - 1]:.1f} ms" for at in (50, 95, 99))
