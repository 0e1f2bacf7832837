"""Measure what each kind of work costs alone, and then mixed, with twice the users and with two workers.

    python -m bench.capacity.trial RESULT.json [--rounds 3]
    python -m bench.capacity --check RESULT.json

One stack, one worker, one API process. First each kind of work alone, and the processes without work:
these are the coefficients. Then two runs that they have not seen, of all kinds at the same time: with
twice the users, who do twice as much; and with a second worker. Events come as one backlog, so that
batches are as full as at a peak; pages are asked for at a steady rate meanwhile. The second command
compares the CPU of these runs with what the coefficients predict.
"""

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from bench.capacity.coefficients import MAIN, Part, Work
from bench.capacity.town import ROUND, USERS_MAX, Town
from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.page_load import read_pages
from bench.measuring.running import bench_arguments, bench_stack
from bench.measuring.samples import SERVERS, Costs
from bench.measuring.sides import Side
from bench.measuring.steady import steady
from bench.traffic.events import follows
from infra.local.paths import PROJECT
from infra.local.stack import Stack
from shutterline.tokens import tokens_for

WARM_UP_ROUNDS = 1
PAGES_S = 10
CONNECTIONS = 8
SECOND_WORKER = "worker-2"
ALL = tuple(ROUND)


async def make(side: Side, town: Town) -> None:
    """Make the network of a town, the timelines of its followers, and those of its warm readers."""
    deployment = side.deployment
    await deployment.publish(follows(deployment, town.edges()))
    await side.drained()
    await deployment.publish(map(deployment.outgoing, town.photos()))
    await side.drained()
    await asyncio.to_thread(side.make_timelines, town.followers)
    settings = deployment.settings
    await read_pages(settings.api, town.warm_readers, tokens_for(settings), connections=CONNECTIONS)


async def one_round(side: Side, town: Town, kinds: Collection[Work]) -> Counter[str]:
    """Let the town do one round of these kinds; returns, when all is committed, how pages were answered."""
    deployment, readers = side.deployment, town.readers(kinds)
    records = [deployment.outgoing(event) for event in town.events(kinds)]
    asking = asyncio.create_task(
        steady(deployment, readers, tokens_for(deployment.settings), len(readers) // PAGES_S, PAGES_S)
    )
    await deployment.publish(records)
    await side.drained()
    return (await asking).answers


async def alone(side: Side, town: Town, rounds: int, stack: Stack, console: Console) -> Costs:
    """Measure each kind of work without the others."""
    costs = Costs()
    for number in range(WARM_UP_ROUNDS + rounds):
        for kind, pieces in town.work(ALL).items():
            with console.status(f"{kind} alone, round {number}"):
                before = CpuClock.read(stack)
                await one_round(side, town, [kind])
                took_s = CpuUse(before, CpuClock.read(stack)).took_s
                if number >= WARM_UP_ROUNDS:
                    costs.add(kind, MAIN, side.sample(before, pieces, took_s))
    return costs


async def mixed(
    side: Side, town: Town, rounds: int, stack: Stack, *, name: str, workers: int
) -> dict[str, Any]:
    """Measure all kinds of work at the same time."""
    names = _names(side.deployment.namespace, workers)
    measured = []
    answers: Counter[str] = Counter()
    for _ in range(rounds):
        before = CpuClock.read(stack)
        answers += await one_round(side, town, ALL)
        use = CpuUse(before, CpuClock.read(stack))
        cpu_s = {part: sum(use.seconds(process) for process in names[part]) for part in Part}
        measured.append({"seconds": use.took_s, "cpu_s": cpu_s})
    return {
        "name": name,
        "workers": workers,
        "size": town.size,
        "work": town.work(ALL),
        "answers": answers,
        "rounds": measured,
    }


def _names(namespace: str, workers: int) -> Mapping[Part, list[str]]:
    """The names in the stack of each kind of process."""
    servers = {Part(server): [server] for server in SERVERS}
    of_workers = [f"{namespace}worker-1", f"{namespace}{SECOND_WORKER}"][:workers]
    return {**servers, Part.API: [f"{namespace}api"], Part.WORKER: of_workers}


async def run(arguments: argparse.Namespace, console: Console) -> None:
    rounds = arguments.rounds
    with bench_stack() as stack:
        side = Side(stack, MAIN, PROJECT)
        side.start()
        # The small town does a round alone and one with two workers, for each that is counted.
        small = Town(1, USERS_MAX, WARM_UP_ROUNDS + 2 * rounds)
        large = Town(2, 2 * USERS_MAX, rounds)
        for town in (small, large):
            with console.status(f"making the network of size {town.size}"):
                await make(side, town)
        before = CpuClock.read(stack)
        costs = await alone(side, small, rounds, stack, console)
        idle = await side.idle_cores()
        runs = []
        with console.status("twice the users"):
            runs.append(await mixed(side, large, rounds, stack, name="twice the users", workers=1))
        side.deployment.start_worker(SECOND_WORKER)
        await side.resume()  # Waits until the groups are stable.
        with console.status("two workers"):
            runs.append(await mixed(side, small, rounds, stack, name="two workers", workers=2))
        use = CpuUse(before, CpuClock.read(stack))
        side.deployment.stop()
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "machine_busy": use.machine,
        "stolen_by_host": use.stolen,
        "idle": idle,
        "lines": costs.as_json(),
        "runs": runs,
    }
    arguments.result.write_text(json.dumps(result, indent=1))
    console.print(costs.table())
    console.print({name: value for name, value in result.items() if name not in ("lines", "runs")})
    for each in runs:
        console.print(f"{each['name']}: {each['work']}; pages {dict(each['answers'])}")


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, "result", rounds=3), Console()))


if __name__ == "__main__":
    main()
