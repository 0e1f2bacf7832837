"""Make Redis refuse in every way that a running Redis can, while feeds are read and photos posted.

    python -m bench.refusals [--seconds 30]

The bench prints how many requests had which response, and how often a process was refused. It fails
if a response is a 500, if a process ends, or if afterwards the feed of one of 40 readers is not every
photo once, newest first, or `shutterline check` finds a difference.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import redis
from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.outage import Reading, outage
from bench.traffic.refusals import REDIS_REFUSALS, Refusal
from infra.local.deployment import Deployment
from infra.local.stack import Stack

CHECK_S_MAX = 300.0
PROCESSES = ("worker-1", "api")


async def measure(stack: Stack, deployment: Deployment, refusal: Refusal, seconds: float) -> Reading:
    """Read and post while Redis refuses.

    Raises:
        AssertionError: A response was an error of the server, a process ended, or something is missing.
    """
    server = stack.server("redis")
    pids = {name: stack.process(f"{deployment.namespace}{name}").pid for name in PROCESSES}
    with redis.Redis(port=server.port, decode_responses=True) as direct, ExitStack() as refusing:
        direct.ping()
        reading = await outage(
            deployment,
            lambda: refusing.enter_context(refusal(direct, server.data_dir)),
            refusing.close,
            outage_s=seconds,
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


async def run(seconds: float, console: Console) -> None:
    with bench_stack() as stack:
        for number, (name, refusal) in enumerate(REDIS_REFUSALS.items()):
            deployment = Deployment(stack, f"refused{number}.", {})
            deployment.prepare()
            deployment.start_all()
            reading = await measure(stack, deployment, refusal, seconds)
            took_s = [answer[2] for answer in reading.answers]
            answers = Counter(completeness or str(status) for status, completeness, _ in reading.answers)
            refused = deployment.metric("shutterline_store_errors_total{")
            console.print(
                f"{name} for {seconds:.0f} s: {dict(answers)}; {percentiles(took_s)}; the worker was refused "
                f"{refused:.0f} times; {check(deployment)}"
            )
            deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, seconds=30.0).seconds, Console()))


if __name__ == "__main__":
    main()
