"""Run Faust apps and loops in one process until it is cancelled or a bug ends it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from streams.jobs.clocks import Clocks
from streams.kafka.consuming.app import assigned_partitions, fetched_positions, is_balanced
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.worker.parts import Loop, Wired

OWN_S = 1.0


class Failure:
    """The first error that must end this process."""

    def __init__(self) -> None:
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fatal(self, error: BaseException) -> None:
        """End the process with `error`, because continuing would lose work or repeat it forever."""
        if not self._failed.done():
            self._failed.set_exception(error)

    async def wait(self) -> None:
        """Wait until `fatal` is called, then raise its error; otherwise runs until cancelled."""
        await asyncio.shield(self._failed)


@dataclass(slots=True)
class Process:
    """Runs the apps, loops and resources of all roles, without knowing what they do."""

    wired: Sequence[Wired]
    progress: Progress
    failure: Failure
    clocks: Clocks
    loops: Sequence[Loop] = field(default=())

    def missing(self) -> str:
        """Return what the process waits for, empty when it is ready; never empty in a rebalance."""
        joining = [app.conf.id for wired in self.wired for app in wired.apps if not is_balanced(app)]
        if joining:
            return f"consumer groups {', '.join(joining)}"
        if not all(wired.is_ready() for wired in self.wired):
            return "partitions of a consumer group"
        clock = self.clocks.not_ready()
        return f"clocks to agree: {clock}" if clock else ""

    async def run(self) -> None:
        """Run until cancelled; then leave the consumer groups, with offsets committed.

        Raises:
            Exception: The bug that ended an app or a loop.
        """
        apps = [app for wired in self.wired for app in wired.apps]
        loops = [*self.loops, *(loop for wired in self.wired for loop in wired.loops)]
        async with AsyncExitStack() as closing:
            for wired in self.wired:
                for resource in wired.resources:
                    await closing.enter_async_context(resource)
            tasks = [asyncio.create_task(loop()) for loop in (*loops, self._own_partitions)]
            try:
                # Concurrently, because each app waits for its connections to the brokers while it starts.
                await asyncio.gather(*(app.start() for app in apps))
                await self._wait_for_end(tasks)
            finally:
                # Concurrently, so that all consumers leave at once and others take over.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*(app.stop() for app in apps), *tasks, return_exceptions=True)

    async def _wait_for_end(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        failed = asyncio.create_task(self.failure.wait())
        try:
            done, _ = await asyncio.wait((failed, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()  # Raises the error that ended the task.
        finally:
            failed.cancel()

    async def _own_partitions(self) -> None:
        """Update `progress` every second with the partitions that the apps own, until cancelled.

        Raises:
            RuntimeError: An app has crashed. Faust only logs why, and the app handles nothing any more.
        """
        while True:
            for wired in self.wired:
                for app in wired.apps:
                    group = app.conf.id
                    if app.crashed:
                        raise RuntimeError(f"the consumer of {group} has crashed") from app.crash_reason
                    owned = {log: GroupPartition(group, *log) for log in assigned_partitions(app)}
                    self.progress.own(group, set(owned.values()))
                    positions = fetched_positions(app)
                    for log, partition in owned.items():
                        fetched, committed = positions.get(log, (None, None))
                        self.progress.fetched(partition, fetched)
                        self.progress.committed(partition, committed)
            await asyncio.sleep(OWN_S)
