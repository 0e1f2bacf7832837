"""One checkout of the product under measurement: its processes, its own namespace, its timelines.

Several sides share the servers. All but one are paused, so that only one is under load at a time.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.queued import all_stable, queued_records
from bench.measuring.samples import Sample
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.processes.daemon import Daemon
from infra.local.stack import Stack
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import feed_client
from shutterline.tokens import tokens_for
from streams.kafka.producing.producer import Outgoing

PROCESSES = ("worker-1", "api")
LOOK_S = 0.1
# A worker that has nothing to do uses about 3% of a core. Above this share in `LOOK_S` it works.
WORKING_CORES = 0.15
# A look costs Kafka some milliseconds, and the groups commit only once a second.
LAG_LOOK_S = 0.5
DRAINED_S_MAX = 600.0
COUNT_CACHED_S = 40.0
IDLE_S = 10.0
RESUMED_S = 0.5  # For what a process does when it continues, such as late heartbeats.
# Without a pace, where what is measured is the lane.
UNPACED = {
    "SHUTTERLINE_POST_DELIVERIES_PER_S": "100000000",
    "SHUTTERLINE_BULK_DELIVERIES_PER_S": "100000000",
}
ENVIRONMENT = {
    **UNPACED,
    # A paused process sends no heartbeats, and shall keep its partitions. Faust allows no more.
    "SHUTTERLINE_SESSION_TIMEOUT_S": "30",
    # Large accounts are pushed through the bulk lane, and nobody is pulled.
    "SHUTTERLINE_CELEBRITY_PUSH_FOLLOWERS_MAX": "1000000",
    # A new followee counts as pulled for so long.
    "SHUTTERLINE_RECENT_FOLLOW_S": "1",
}
# Runs in the side's checkout, whose layout of a timeline may be another.
MAKE_TIMELINES = """
import asyncio, sys
from streams.settings import Settings
from streams.stores.connect import connect

async def run(first, count):
    async with connect(Settings(), timeout_ms=60_000) as stores:
        async def make(owner):
            await stores.timelines.begin_rebuild(owner, b"bench123")
            await stores.timelines.finish_rebuild(owner, b"bench123", [], 0)
        for start in range(first, first + count, 500):
            await asyncio.gather(*map(make, range(start, min(start + 500, first + count))))

asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))
"""


class Side:
    """Processes of the checkout in `folder`, under the namespace `NAME.`; they start paused or not at all."""

    def __init__(self, stack: Stack, name: str, folder: Path) -> None:
        self.name = name
        self.deployment = Deployment(stack, f"{name}.", ENVIRONMENT, folder=folder)
        self._stack = stack
        self._admin = AdminClient({"bootstrap.servers": self.deployment.settings.kafka})

    def start(self) -> None:
        """Make its topics and tables, and start its worker and its API."""
        self._run("-m", "shutterline", "topics")
        self._run("-m", "shutterline", "migrate")
        self.deployment.start_all()

    def pause(self) -> None:
        for daemon in self._daemons():
            daemon.pause()

    async def resume(self) -> None:
        """Continue; returns when every group has its members, which it loses if the pause was too long."""
        for daemon in self._daemons():
            daemon.resume()
        namespace = self.deployment.namespace
        await eventually(
            f"the groups of {namespace} have members",
            lambda: asyncio.to_thread(all_stable, self._admin, namespace),
        )
        await asyncio.sleep(RESUMED_S)

    def make_timelines(self, owners: Sequence[UserId]) -> None:
        """Give each of these users, whose ids are consecutive, an empty timeline."""
        self._run("-c", MAKE_TIMELINES, str(owners[0]), str(len(owners)))

    async def handle(self, records: Sequence[Outgoing], count: int) -> Sample:
        """Publish the records, `count` pieces of work, and measure until all is committed.

        The rate counts until the worker comes to rest, because it commits up to a second later.
        """
        before = CpuClock.read(self._stack)
        done = asyncio.Event()
        working_s = asyncio.create_task(self._working_s(done))
        await self.deployment.publish(records)
        await self.drained()
        done.set()
        took_s = await working_s
        return self.sample(before, count, took_s)

    def sample(self, before: CpuClock, count: int, took_s: float) -> Sample:
        """What `count` pieces of work cost since `before`, of which they took `took_s`."""
        use = CpuUse(before, CpuClock.read(self._stack))
        namespace = self.deployment.namespace
        return Sample.of(use, count, took_s, {"worker": f"{namespace}worker-1", "api": f"{namespace}api"})

    async def idle_cores(self) -> dict[str, float]:
        """Return the cores that each kind of process uses while there is nothing to do."""
        before = CpuClock.read(self._stack)
        await asyncio.sleep(IDLE_S)
        sample = self.sample(before, 1, IDLE_S)
        return {name: used_ms / 1_000 / sample.counted_s for name, used_ms in sample.cpu_ms.items()}

    async def likes_of(self, photo: PhotoId, expected: int) -> int:
        """The photo's like count over HTTP; cached counts get time to become `expected`."""
        async with feed_client(self.deployment.settings, tokens_for(self.deployment.settings)) as client:
            deadline_s = time.monotonic() + COUNT_CACHED_S
            while True:
                body, _ = await client.get(f"/v1/photos/{photo}", UserId(1))
                if body["like_count"] == expected or time.monotonic() > deadline_s:
                    return int(body["like_count"])
                await asyncio.sleep(LOOK_S)

    async def drained(self) -> None:
        """Wait until every group has committed everything.

        Raises:
            TimeoutError: Not within `DRAINED_S_MAX`.
        """
        async with asyncio.timeout(DRAINED_S_MAX):
            looks_at_nothing = 0
            # Twice, because during one look work can move to a topic that was looked at already.
            while looks_at_nothing < 2:
                queued = await asyncio.to_thread(queued_records, self._admin, self.deployment.namespace)
                is_nothing = not queued and not await self.deployment.deferred()
                looks_at_nothing = looks_at_nothing + 1 if is_nothing else 0
                await asyncio.sleep(LAG_LOOK_S)

    async def _working_s(self, done: asyncio.Event) -> float:
        """Seconds until the worker last worked, at least `LOOK_S`; returns when `done` is set."""
        worker = psutil.Process(self._stack.process(f"{self.deployment.namespace}worker-1").pid)
        began_s = looked_s = time.monotonic()
        used_s = _used_s(worker)
        last_s = LOOK_S
        while not done.is_set():
            await asyncio.sleep(LOOK_S)
            now_s, now_used_s = time.monotonic(), _used_s(worker)
            if now_used_s - used_s > WORKING_CORES * (now_s - looked_s):
                last_s = now_s - began_s
            looked_s, used_s = now_s, now_used_s
        return last_s

    def _daemons(self) -> list[Daemon]:
        return [self._stack.process(f"{self.deployment.namespace}{name}") for name in PROCESSES]

    def _run(self, *arguments: str) -> None:
        environment = {**os.environ, **self.deployment.environment}
        subprocess.run(
            [sys.executable, *arguments],
            cwd=self.deployment.folder,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
