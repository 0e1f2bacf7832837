"""How long posts wait when a worker is killed, told to stop, or joins.

    python -m bench.takeover [--rounds 3]

Two workers; ordinary posts twenty times a second. The longest wait of a post published
around the event is the time until the survivor has the partitions and has worked off
what had piled up.
"""

import argparse
import asyncio
from collections.abc import Callable

from rich.console import Console

from bench.freshness import AUTHORS, READERS, freshness, materialise
from bench.running import bench_stack, percentiles
from infra.local.deployment import Deployment
from schemas.events import EventType
from schemas.facts import UserFollowed
from streams.stores.connect import connect
from streams.stores.ports import Stores

POSTS = 300
EVENT_AT_S = 3.0


async def around(deployment: Deployment, stores: Stores, event: Callable[[], object]) -> list[float]:
    """Post for fifteen seconds; `event` happens after three."""

    async def happen() -> None:
        await asyncio.sleep(EVENT_AT_S)
        await asyncio.to_thread(event)

    waits, _ = await asyncio.gather(freshness(deployment, stores, POSTS), happen())
    return waits


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        await deployment.publish(
            deployment.outgoing(
                EventType.USER_FOLLOWED, UserFollowed(follower_id=follower, followee_id=followee)
            )
            for follower, followee in zip(READERS, AUTHORS, strict=True)
        )
        await deployment.drained()
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            await asyncio.gather(*(materialise(stores, reader) for reader in READERS))
            await freshness(deployment, stores, 20)  # The first posts pay for warming up.
            for number in range(arguments.rounds):
                await round_of(deployment, stores, f"round {number + 1}", console)
        deployment.stop()


async def round_of(deployment: Deployment, stores: Stores, name: str, console: Console) -> None:
    other = deployment.stack.process("worker-2")
    for event, act in (
        ("a worker joins", lambda: deployment.start_worker("worker-2")),
        ("SIGTERM", other.stop),
        ("joins again", lambda: deployment.start_worker("worker-2")),
        ("kill -9", other.kill),
    ):
        waits = await around(deployment, stores, act)
        console.print(f"{name}, {event}: longest wait {max(waits):.2f} s, {percentiles(waits)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args(), Console()))


if __name__ == "__main__":
    main()
