"""What one follow, like, post, delivery and page costs: CPU of each process, rates, floors and rivals.

    python -m bench.costs [--rounds 5] [--only NAME ...] [--against PATH] [--json FILE] [--warm]

Everything goes in through Kafka and comes out over HTTP. A line is measured in turns: this checkout,
the checkout in PATH if there is one (on the same servers, under a namespace of its own, and paused
like this one while another is measured), the floor, which is the least that any program would need
for the same, and for deliveries other systems on the same Redis. One round comes before those that
count.

The lines (`--only`), each a unit of work: `follow`; `like`, and `hot-like` with 80 % of the likes on
one photo; `post` of an author with 200 followers who have timelines; `bulk`, a delivery of an account
of 20,000 whose posts go through the bulk lane; `warm`, a page of 20 photos with 80 signed URLs; `cold`,
a page of a reader without a timeline. With `--warm` the Java servers run with their optimizing compiler,
and three rounds come before. The first run with the line `bulk` installs Stream-Framework from the
package index; if that fails, this rival is left out.
"""

import argparse
import asyncio
import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.floors.floors import Floors
from bench.floors.stream_framework import StreamFramework
from bench.measuring import workload
from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.page_load import read_pages
from bench.measuring.running import HOME, bench_stack
from bench.measuring.samples import MAIN, Costs, Sample
from bench.measuring.sides import Side
from bench.measuring.workload import BULK, COLD, HOT_LIKE, POST, WARM, Workload
from infra.local.paths import PROJECT
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.tokens import tokens_for

AGAINST = "against"
WIDTH = 170  # Of the table.
C2 = "-XX:TieredStopAtLevel=4"
WARM_UP_ROUNDS, WARM_UP_ROUNDS_C2 = 1, 3


class Contest:
    """The sides and the floors on one stack, and what was measured so far."""

    def __init__(self, stack: Stack, lines: Sequence[str], rounds: int, against: Path | None) -> None:
        self.stack, self.lines, self.costs = stack, lines, Costs()
        folders = {MAIN: PROJECT} | ({AGAINST: against.resolve()} if against else {})
        self.sides = [Side(stack, name, folder) for name, folder in folders.items()]
        self.workloads = {side.name: Workload(side.deployment) for side in self.sides}
        self.cold_readers = workload.cold_readers(rounds)
        self.floors = Floors(stack, self.sides[0], _stream_framework() if BULK in lines else None)

    async def prepare(self, console: Console) -> None:
        """Make the network of each side and of the floors; afterwards the sides are paused."""
        for side in self.sides:
            with console.status(f"making the network of {side.name}"):
                await self._make_network(side)
        with console.status("making the network of the floors"):
            self.floors.prepare([user for some in self.cold_readers for user in some])
            if WARM in self.lines:
                await self.floors.start_app(workload.WARM_READERS[0])
        for side in self.sides:
            side.pause()

    async def round(self, number: int, *, counts: bool) -> None:
        """Measure every line of every contender once; the sides change their order from round to round."""
        for line in self.lines:
            self.floors.begin(line)
            for side in self.sides[:: 1 if number % 2 else -1]:
                await side.resume()
                sample = await self._measure(side, line, self.cold_readers[number])
                side.pause()
                if counts:
                    self.costs.add(line, side.name, sample)
            for contender, sample in (await self.floors.measure(line, self.cold_readers[number])).items():
                if counts:
                    self.costs.add(line, contender, sample)

    async def idle_cores(self) -> dict[str, float]:
        """The cores that this checkout and the servers use without work."""
        side = self.sides[0]
        await side.resume()
        idle_cores = await side.idle_cores()
        side.pause()
        return idle_cores

    async def hot_likes(self) -> dict[str, bool]:
        """Whether each side has counted the likes of the hot photo exactly."""
        exact = {}
        for side in self.sides:
            await side.resume()
            work = self.workloads[side.name]
            exact[side.name] = await side.likes_of(work.page_photos[0], work.hot_likes) == work.hot_likes
            side.pause()
        return exact

    async def _make_network(self, side: Side) -> None:
        work = self.workloads[side.name]
        side.start()
        for events in (work.photos(), work.follows(self.lines, len(self.cold_readers))):
            await side.deployment.publish([side.deployment.outgoing(event) for event in events])
            await side.drained()
        if {POST, BULK} & set(self.lines):
            await asyncio.to_thread(side.make_timelines, workload.FOLLOWERS)
        if WARM in self.lines:
            await self._pages(side, workload.WARM_READERS)

    async def _measure(self, side: Side, line: str, cold: Sequence[UserId]) -> Sample:
        if line in (WARM, COLD):
            times = workload.WARM_PAGES // len(workload.WARM_READERS)
            return await self._pages(side, cold if line == COLD else workload.WARM_READERS * times)
        events = self.workloads[side.name].events(line)
        count = len(events) * (len(workload.FOLLOWERS) if line == BULK else 1)
        return await side.handle([side.deployment.outgoing(event) for event in events], count)

    async def _pages(self, side: Side, readers: Sequence[UserId]) -> Sample:
        settings = side.deployment.settings
        before = CpuClock.read(self.stack)
        _, took_s = await read_pages(
            settings.api, readers, tokens_for(settings), connections=workload.CONNECTIONS
        )
        return side.sample(before, len(readers), took_s)


def _stream_framework() -> StreamFramework | None:
    try:
        return StreamFramework.install(HOME.parent / "stream-framework")
    except subprocess.CalledProcessError:
        return None


async def run(arguments: argparse.Namespace, console: Console) -> None:
    lines = [line for line in workload.LINES if line in arguments.only]
    warm_up = WARM_UP_ROUNDS_C2 if arguments.warm else WARM_UP_ROUNDS
    if arguments.warm:
        os.environ["_JAVA_OPTIONS"] = C2  # Prevails over the servers' command lines.
    with bench_stack() as stack:
        contest = Contest(stack, lines, warm_up + arguments.rounds, arguments.against)
        await contest.prepare(console)
        for number in range(warm_up):
            with console.status("one round to warm up"):
                await contest.round(number, counts=False)
        before = CpuClock.read(stack)
        for number in range(arguments.rounds):
            with console.status(f"round {number + 1} of {arguments.rounds}"):
                await contest.round(warm_up + number, counts=True)
        use = CpuUse(before, CpuClock.read(stack))
        result = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rounds": arguments.rounds,
            "optimizing_compiler": arguments.warm,
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "machine_busy": use.machine,
            "stolen_by_host": use.stolen,
            "hot_likes_exact": await contest.hot_likes() if HOT_LIKE in lines else {},
            "idle": await contest.idle_cores(),
            "lines": contest.costs.as_json(),
        }
        await contest.floors.close()
        for side in contest.sides:
            side.deployment.stop()
    console.print(contest.costs.table())
    console.print({name: value for name, value in result.items() if name != "lines"})
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=workload.LINES, default=workload.LINES, metavar="NAME")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--warm", action="store_true")
    asyncio.run(run(parser.parse_args(), Console(width=WIDTH)))


if __name__ == "__main__":
    main()
