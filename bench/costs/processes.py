"""How many warm pages two API processes answer, beside one, in turns.

    python -m bench.costs.processes [--rounds 3]

The pages are those of `bench.costs`: 20 photos with 80 signed URLs, nobody pulled. The client, which is one
process, Redis and the API share the machine's cores.
"""

import argparse
import asyncio
import statistics

from rich.console import Console

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.page_load import read_pages
from bench.measuring.running import bench_arguments, bench_stack
from bench.measuring.workload import WARM, WARM_READERS, Workload
from infra.local.deployment import Deployment
from shutterline.tokens import tokens_for

PROCESSES = (1, 2)
PAGES = 6_000
CONNECTIONS = 16


async def pages_a_second(deployment: Deployment, processes: int, console: Console) -> float:
    """Start the API with so many processes, read its pages as fast as it answers, and stop it."""
    deployment.start_api(processes=processes)
    token_of = tokens_for(deployment.settings)
    api = deployment.settings.api
    await read_pages(api, WARM_READERS * 5, token_of, connections=CONNECTIONS)  # Warms up the processes.
    before = CpuClock.read(deployment.stack)
    readers = WARM_READERS * (PAGES // len(WARM_READERS))
    load, took_s = await read_pages(api, readers, token_of, connections=CONNECTIONS)
    use = CpuUse(before, CpuClock.read(deployment.stack))
    console.print(
        f"{processes} processes: {PAGES / took_s:,.0f} pages a second, {load.retried} retried; "
        f"{use.each(PAGES)}; the machine was {100 * use.machine:.0f}% busy"
    )
    await asyncio.to_thread(deployment.stack.stop_process, f"{deployment.namespace}api")
    return PAGES / took_s


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {"SHUTTERLINE_RECENT_FOLLOW_S": "1"})
        deployment.prepare()
        deployment.start_worker()
        work = Workload(deployment)
        for events in (work.photos(), work.follows([WARM], 0)):
            await deployment.publish([deployment.outgoing(event) for event in events])
            await deployment.drained()
        rates: dict[int, list[float]] = {processes: [] for processes in PROCESSES}
        for number in range(arguments.rounds):
            for processes in PROCESSES[:: 1 if number % 2 else -1]:
                rates[processes].append(await pages_a_second(deployment, processes, console))
        deployment.stop()
    one, two = (statistics.median(rates[processes]) for processes in PROCESSES)
    console.print(f"two processes answer {two / one:.2f} times what one answers")


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, rounds=3), Console()))


if __name__ == "__main__":
    main()
