"""What the running monitor costs with the 100 partitions of the profile `small`, and how fast `/ops/lag` is.

    python -m bench.lag.cost [--seconds 20]

First the stack is idle, then 500 follows a second are handled, then the canary posts every 10 s as well.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count

import aiohttp
from rich.console import Console

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import UserId
from topics.sizes import Profile

FOLLOWS_PER_S = 500
ROUND_S = 0.2
REQUESTS = 300
REQUEST_PAUSE_S = 0.02
CANARY_MS = 10_000


async def follows(deployment: Deployment) -> None:
    """Publish follows until cancelled."""
    numbers = count(1)
    while True:
        began_s = time.monotonic()
        await deployment.publish(
            deployment.outgoing(
                UserFollowed(follower_id=UserId(number), followee_id=UserId(10**9 + number % 997))
            )
            for number in (next(numbers) for _ in range(int(FOLLOWS_PER_S * ROUND_S)))
        )
        await asyncio.sleep(max(0.0, ROUND_S - (time.monotonic() - began_s)))


async def nothing(_: Deployment) -> None:
    """Let the stack be idle."""
    await asyncio.Event().wait()


async def measure(
    deployment: Deployment,
    name: str,
    load: Callable[[Deployment], Awaitable[None]],
    seconds: int,
    console: Console,
) -> None:
    loading = asyncio.ensure_future(load(deployment))
    await asyncio.sleep(5)  # Its first samples and connections are not what it costs later.
    before = CpuClock.read(deployment.stack)
    await asyncio.sleep(seconds)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    took_s = await read_lag(deployment)
    loading.cancel()
    console.print(
        f"{name}: the monitor uses {use.cores('monitor'):.2%} of a core, worker {use.cores('worker-1'):.1%}, "
        f"broker {use.cores('kafka'):.1%}, the machine is {use.machine:.0%} busy; "
        f"/ops/lag {percentiles(took_s)}"
    )


async def read_lag(deployment: Deployment) -> list[float]:
    """How long each request for the report took, one after the other."""
    took_s = []
    async with aiohttp.ClientSession() as http:
        for _ in range(REQUESTS):
            began_s = time.perf_counter()
            async with http.get(f"{deployment.settings.api}/ops/lag") as response:
                assert response.status == 200, await response.text()
                await response.read()
            took_s.append(time.perf_counter() - began_s)
            await asyncio.sleep(REQUEST_PAUSE_S)
    return took_s


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {"SHUTTERLINE_SIZES": Profile.SMALL.value})
        deployment.prepare()
        deployment.start_all(media=True, monitor=True)
        await measure(deployment, "idle", nothing, arguments.seconds, console)
        await measure(deployment, f"{FOLLOWS_PER_S} follows a second", follows, arguments.seconds, console)
        await deployment.drained()
        stack.stop_process("monitor")
        deployment.start_monitor(SHUTTERLINE_CANARY_INTERVAL_MS=str(CANARY_MS))
        await measure(deployment, "idle, with the canary", nothing, arguments.seconds, console)
        seen = deployment.metric('shutterline_canary_posts_total{outcome="seen"}', "monitor")
        console.print(f"the canary saw {seen:.0f} posts")
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, seconds=20), Console(width=200)))


if __name__ == "__main__":
    main()
