"""How long posts wait when a worker is killed, told to stop, or joins.

    python -m bench.takeover [--rounds 3]

There are two workers, and twenty ordinary posts a second. For each event the bench prints:

- the time until every partition has an owner again, as the broker sees it; for a join, this
  includes the start of the process;
- the longest time for which a group was not stable;
- the longest wait of a post around the event, which includes handling the backlog.
"""

import argparse
import asyncio
from collections.abc import Callable

from rich.console import Console

from bench.measuring.freshness import AUTHORS, READERS, freshness, materialise
from bench.measuring.groups import GroupWatch
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from streams.ports.groups import Stores
from streams.roles import Role
from streams.stores.connect import connect

POSTS = 300
WORKER_ROLES = (Role.CHECK, Role.EDGES, Role.NORMAL, Role.BULK)
EVENT_AT_S = 3.0


async def around(
    deployment: Deployment, stores: Stores, event: Callable[[], object], members: int
) -> tuple[list[float], float, float]:
    """Post for fifteen seconds; `event` happens after three, and leaves `members` workers."""
    watch = GroupWatch(deployment, WORKER_ROLES)

    async def happen() -> tuple[float, float]:
        await asyncio.sleep(EVENT_AT_S)
        return await watch.took(event, members=members)

    waits, took = await asyncio.gather(freshness(deployment, stores, POSTS), happen())
    return waits, *took


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        await deployment.publish(
            deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
            for follower, followee in zip(READERS, AUTHORS, strict=True)
        )
        await deployment.drained()
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            await asyncio.gather(*(materialise(stores, reader) for reader in READERS))
            await freshness(deployment, stores, 20)  # The first posts warm up the processes.
            for number in range(arguments.rounds):
                await round_of(deployment, stores, f"round {number + 1}", console)
        deployment.stop()


async def round_of(deployment: Deployment, stores: Stores, name: str, console: Console) -> None:
    other = deployment.stack.process("worker-2")
    for event, act, members in (
        ("a worker joins", lambda: deployment.start_worker("worker-2"), 2),
        ("SIGTERM", other.stop, 1),
        ("joins again", lambda: deployment.start_worker("worker-2"), 2),
        ("kill -9", other.kill, 1),
    ):
        waits, since_event_s, without_s = await around(deployment, stores, act, members)
        console.print(
            f"{name}, {event}: all partitions owned after {since_event_s:.2f} s, no group without for longer "
            f"than {without_s:.2f} s; longest wait of a post {max(waits):.2f} s, {percentiles(waits)}"
        )


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=3), Console()))


if __name__ == "__main__":
    main()
