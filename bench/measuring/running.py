"""What the benches share: their command line, a stack of their own, feeds over HTTP, and percentiles."""

import argparse
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.deployment import Deployment
from infra.local.layout import Layout
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.client.feed import FeedClient, Json, feed_client
from shutterline.tokens import tokens_for

# With another folder two benches can run side by side. Their figures then disturb each other.
HOME = Path(os.environ.get("SHUTTERLINE_BENCH_HOME", ".local/bench"))


def bench_arguments(
    description: str | None, *folders_and_files: str, **options: float | bool | str | Path | None
) -> argparse.Namespace:
    """Read the command line of a bench, whose docstring is its help.

    `folders_and_files` name required paths. `options` are the options with their defaults. An
    option has the type of its default; False makes a flag, and None makes an optional path.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in folders_and_files:
        parser.add_argument(name, type=Path)
    for name, default in options.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            kind = Path if default is None else type(default)
            shown = "" if default is None else f"default: {default}"
            parser.add_argument(f"--{name}", type=kind, default=default, help=shown)
    return parser.parse_args()


@contextmanager
def bench_stack(nodes: int = 1) -> Iterator[Stack]:
    """An empty stack that ends with the bench."""
    home = HOME if nodes == 1 else HOME / f"nodes-{nodes}"
    stack = Stack(home, layout=Layout(nodes), dies_with_parent=True)
    stack.clean()
    stack.start_servers()
    try:
        yield stack
    finally:
        stack.stop()


@dataclass(frozen=True, slots=True)
class TimedClient(FeedClient):
    """Records how long each request took, in seconds."""

    took_s: list[float] = field(default_factory=list)

    async def get(self, path: str, user: UserId) -> tuple[Json, float]:
        began_s = time.perf_counter()
        try:
            return await FeedClient.get(self, path, user)  # super() fails in a dataclass with slots.
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
