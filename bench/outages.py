"""Stop each store, and slow down Redis and Cassandra, while feeds are read and photos posted.

    python -m bench.outages [--seconds 30]

A stopped server hangs (SIGSTOP); a slow one takes two seconds for each response. The bench prints
how many requests had which response, and the slowest response. It fails unless afterwards the
feed of each of 40 readers has every photo once, newest first.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.outage import DEADLINE_S, SLOW_S, outage
from bench.traffic.slow_proxy import SlowProxy
from infra.local.deployment import Deployment
from infra.local.stack import Stack

STOPPED = ("redis", "cassandra", "kafka", "s3")
SLOW = ("redis", "cassandra")


@contextmanager
def started(stack: Stack, namespace: str, environment: dict[str, str]) -> Iterator[Deployment]:
    deployment = Deployment(stack, namespace, environment)
    deployment.prepare()
    deployment.start_all()
    yield deployment
    deployment.stop()


async def measure(
    name: str,
    deployment: Deployment,
    begin: Callable[[], None],
    end: Callable[[], None],
    seconds: float,
    console: Console,
) -> None:
    reading = await outage(deployment, begin, end, outage_s=seconds)
    took_s = [answer[2] for answer in reading.answers]
    answers = Counter(completeness or str(status) for status, completeness, _ in reading.answers)
    console.print(
        f"{name} for {seconds:.0f} s: difference 0; {dict(answers)}; {percentiles(took_s)}, slowest "
        f"{max(took_s):.2f} s of {DEADLINE_S:.0f} s"
    )


async def run(seconds: float, console: Console) -> None:
    with bench_stack() as stack:
        with started(stack, "stopped.", {}) as deployment:
            for name in STOPPED:
                server = stack.server(name)
                await measure(f"{name} stopped", deployment, server.pause, server.resume, seconds, console)
        for name in SLOW:
            with SlowProxy(stack.server(name).port) as proxy:
                address = f"127.0.0.1:{proxy.port}"
                value = f"redis://{address}/0" if name == "redis" else address

                def delay(delay_s: float, proxy: SlowProxy = proxy) -> Callable[[], None]:
                    return lambda: setattr(proxy, "delay_s", delay_s)

                with started(stack, f"slow{name}.", {f"SHUTTERLINE_{name.upper()}": value}) as deployment:
                    await measure(f"{name} slow", deployment, delay(SLOW_S), delay(0.0), seconds, console)


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, seconds=30.0).seconds, Console()))


if __name__ == "__main__":
    main()
