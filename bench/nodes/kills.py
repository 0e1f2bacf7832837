"""Kill each kind of server of three nodes under load, and start it again: how long do posts wait?

    python -m bench.nodes.kills [--rounds 2] [--posts 400]

There are two workers, and twenty ordinary posts a second. A quarter into each run one server is killed
with -9, and started again halfway: the broker that leads partition 0 of `fanout`, a node of Cassandra, a
primary of Redis, whose replica takes over, or a worker. A post waits from just before `photo.uploaded` is
published until the photo is in the follower's timeline. The bench fails if a post is lost.
"""

import argparse
import asyncio
from collections.abc import Callable

from rich.console import Console

from bench.measuring.freshness import POST_EVERY_S, freshness, make_readers
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.servers import cassandra_node, leader, primary
from infra.local.deployment import Deployment
from infra.local.processes.daemon import Daemon
from streams.ports.groups import Stores
from streams.stores.connect import connect

NODES = 3
SECOND_WORKER = "worker-2"


def worker(deployment: Deployment) -> Daemon:
    return deployment.stack.process(f"{deployment.namespace}{SECOND_WORKER}")


async def killed(deployment: Deployment, stores: Stores, victim: Daemon, posts: int) -> list[float]:
    """Seconds that each post waits."""

    async def kill() -> None:
        await asyncio.sleep(posts * POST_EVERY_S / 4)
        victim.kill()
        await asyncio.sleep(posts * POST_EVERY_S / 4)
        await asyncio.to_thread(start_what_is_missing, deployment)

    waits, _ = await asyncio.gather(freshness(deployment, stores, posts), kill())
    return waits


def start_what_is_missing(deployment: Deployment) -> None:
    deployment.stack.start_servers()
    deployment.start_worker(SECOND_WORKER)


async def run(arguments: argparse.Namespace, console: Console) -> None:
    choices: list[Callable[[Deployment], Daemon]] = [leader, cassandra_node, primary, worker]
    with bench_stack(nodes=NODES) as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        deployment.start_worker(SECOND_WORKER)
        async with connect(deployment.settings, timeout_ms=20_000) as stores:
            await make_readers(deployment, stores)
            await freshness(deployment, stores, 20)  # The first posts warm up the processes.
            for number in range(arguments.rounds):
                for choose in choices:
                    victim = choose(deployment)
                    waits = await killed(deployment, stores, victim, arguments.posts)
                    console.print(
                        f"round {number + 1}, {victim.name} killed: none of {len(waits)} posts lost, "
                        f"longest wait {max(waits):.2f} s, {percentiles(waits)}"
                    )
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=2, posts=400), Console()))


if __name__ == "__main__":
    main()
