"""What deliveries of a large account cost on one node of each server, and on three, in turns.

    python -m bench.nodes.deliveries [--rounds 3] [--deliveries 2000000]

One worker delivers photos of an account whose 50,000 followers have timelines, through the bulk lane. The
bench prints deliveries a second, from the first record that is published, and the calls of scripts for each
page of followers, as Redis counts them.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack

from redis import Redis
from rich.console import Console

from bench.measuring.giant import GIANT, GIANT_FOLLOWERS, make_giant, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack
from infra.local.deployment import Deployment
from infra.local.layout import NODES_ALLOWED
from infra.local.stack import Stack
from schemas.internal import SetKind
from streams.core.counted import bucket_ranges
from streams.ports.groups import Stores
from streams.stores.connect import connect

SCRIPTS = "cmdstat_evalsha"


def script_calls(stack: Stack) -> int:
    """How many scripts all servers of Redis have run; a replica runs none, because it gets their effects."""
    calls = 0
    for name in stack.layout.names("redis"):
        with Redis(port=stack.server(name).port) as client:
            calls += client.info("commandstats").get(SCRIPTS, {}).get("calls", 0)
    return calls


async def deliver(deployment: Deployment, stores: Stores, deliveries: int) -> str:
    calls, began = script_calls(deployment.stack), time.monotonic()
    photos = await queue_bulk(deployment, stores, deliveries)
    await deployment.drained(600)
    took_s = time.monotonic() - began
    calls = script_calls(deployment.stack) - calls
    level = (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [GIANT]))[GIANT].level
    pages = photos * len(bucket_ranges(GIANT_FOLLOWERS, level))
    return (
        f"{photos * GIANT_FOLLOWERS / took_s:,.0f} deliveries a second; {calls / pages:.2f} calls of scripts "
        f"a page of {GIANT_FOLLOWERS * photos / pages:,.0f} followers"
    )


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with ExitStack() as closing:
        deployments = [_started(closing.enter_context(bench_stack(nodes))) for nodes in NODES_ALLOWED]
        for deployment in deployments:
            closing.callback(deployment.stop)
        await rounds(deployments, arguments, console)


async def rounds(deployments: Sequence[Deployment], arguments: argparse.Namespace, console: Console) -> None:
    for deployment in deployments:
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            await make_giant(deployment, stores)
    for number in range(arguments.rounds):
        for deployment in deployments:
            async with connect(deployment.settings, timeout_ms=60_000) as stores:
                said = await deliver(deployment, stores, arguments.deliveries)
            console.print(f"round {number + 1}, nodes {deployment.stack.layout.nodes}: {said}")


def _started(stack: Stack) -> Deployment:
    deployment = Deployment(stack, "", {})
    deployment.prepare()
    deployment.start_worker()
    return deployment


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=3, deliveries=2_000_000), Console()))


if __name__ == "__main__":
    main()
