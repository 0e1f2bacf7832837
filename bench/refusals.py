"""Make each store refuse in every way that a running one can, under load.

    python -m bench.refusals [--seconds 30] [--store redis|s3|cassandra|kafka]

While a store refuses, feeds are read, photos posted, users followed, photos liked and images uploaded;
each write is repeated until it is acknowledged. The bench prints how many requests had which response,
and how often a process was refused. It fails if a response is an unexpected error, if a process ends,
or if afterwards the feed of one of 40 readers is not every photo once, newest first, if a write has no
effect, if an upload has no renditions, or if `shutterline check` finds a difference.

Disks are filled on file systems that the bench mounts, so it has to run as root.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import MappingProxyType

from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.refusing.cassandra import refusing_cassandra
from bench.refusing.kafka import refusing_kafka
from bench.refusing.redis import refusing_redis
from bench.refusing.refusing import Refusal, Refusing
from bench.refusing.s3 import refusing_s3
from bench.traffic.outage import Reading, outage
from infra.local.deployment import Deployment
from infra.local.stack import Stack

CHECK_S_MAX = 300.0
PROCESSES = ("worker-1", "media-1", "api")
STORES: Mapping[str, Callable[[Stack], AbstractContextManager[Refusing]]] = MappingProxyType(
    {"redis": refusing_redis, "s3": refusing_s3, "cassandra": refusing_cassandra, "kafka": refusing_kafka}
)


async def measure(deployment: Deployment, refusal: Refusal, seconds: float) -> Reading:
    """Read and write while a store refuses.

    Raises:
        AssertionError: A response was an error of the server, a process ended, or something is missing.
    """
    stack = deployment.stack
    pids = {name: stack.process(f"{deployment.namespace}{name}").pid for name in PROCESSES}
    with ExitStack() as refusing:
        reading = await outage(
            deployment,
            lambda: refusing.enter_context(refusal()),
            refusing.close,
            outage_s=seconds,
            uploads=True,
        )
    if statuses := {status for status, _, _ in reading.answers} - {200, 429, 503}:
        raise AssertionError(f"requests were answered with {statuses}")
    for name, pid in pids.items():
        if stack.process(f"{deployment.namespace}{name}").pid != pid:
            raise AssertionError(f"{name} ended")
    return reading


def check(deployment: Deployment) -> str:
    """Run `shutterline check`; returns its last line.

    Raises:
        AssertionError: It found a difference.
    """
    done = subprocess.run(
        [sys.executable, "-m", "shutterline", "check", "--users", "50"],
        env=deployment.environment,
        capture_output=True,
        text=True,
        timeout=CHECK_S_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout.strip().splitlines()[-1]


async def run(seconds: float, stores: list[str], console: Console) -> None:
    with bench_stack() as stack:
        for store in stores:
            with STORES[store](stack) as refusing:
                for number, (name, refusal) in enumerate(refusing.refusals.items()):
                    environment = {**refusing.environment, "SHUTTERLINE_UPLOADS_PER_MINUTE": "1000"}
                    deployment = Deployment(stack, f"{store}{number}.", environment)
                    deployment.prepare()
                    deployment.start_all(media=True)
                    reading = await measure(deployment, refusal, seconds)
                    console.print(f"{store}, {name} for {seconds:.0f} s: {shown(deployment, reading)}")
                    deployment.stop()


def shown(deployment: Deployment, reading: Reading) -> str:
    pages = Counter(completeness or str(status) for status, completeness, _ in reading.answers)
    writes = {f"{kind} {status}": count for (kind, status), count in sorted(reading.statuses.items())}
    refused = {name: deployment.metric("shutterline_store_errors_total{", name) for name in PROCESSES}
    return (
        f"pages {dict(pages)}, {percentiles([answer[2] for answer in reading.answers])}; writes {writes}; "
        f"refused { ({name: round(count) for name, count in refused.items()}) }; {check(deployment)}"
    )


def main() -> None:
    arguments = bench_arguments(__doc__, seconds=30.0, store="")
    stores = [arguments.store] if arguments.store else list(STORES)
    asyncio.run(run(arguments.seconds, stores, Console()))


if __name__ == "__main__":
    main()
