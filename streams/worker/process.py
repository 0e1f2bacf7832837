"""Run Faust apps and loops in one process until a signal or a bug ends it."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from streams.kafka.consuming.app import assigned_partitions, is_balanced
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.worker.parts import Loop, Wired

OWN_S = 1.0


def stop_on_signals() -> asyncio.Event:
    """Return an event that is set on SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


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
    loops: Sequence[Loop] = field(default=())

    def is_ready(self) -> bool:
        """Return whether all roles are ready and all apps have joined; False in a rebalance."""
        return all(wired.is_ready() and all(map(is_balanced, wired.apps)) for wired in self.wired)

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set.

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
                # Concurrently, because each app sleeps for a second while it starts.
                await asyncio.gather(*(app.start() for app in apps))
                await self._wait_for_end(stopping, tasks)
            finally:
                # Concurrently, so that all consumers leave at once and others take over.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*(app.stop() for app in apps), *tasks, return_exceptions=True)

    async def _wait_for_end(self, stopping: asyncio.Event, tasks: Sequence[asyncio.Task[Any]]) -> None:
        stop, failed = asyncio.create_task(stopping.wait()), asyncio.create_task(self.failure.wait())
        try:
            done, _ = await asyncio.wait((stop, failed, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stop}:
                ended.result()  # Raises the error that ended the task.
        finally:
            stop.cancel()
            failed.cancel()

    async def _own_partitions(self) -> None:
        """Update `progress` every second with the partitions that the apps own, until cancelled."""
        while True:
            for wired in self.wired:
                for app in wired.apps:
                    group = app.conf.id
                    self.progress.own(
                        group,
                        {
                            GroupPartition(group, topic, partition)
                            for topic, partition in assigned_partitions(app)
                        },
                    )
            await asyncio.sleep(OWN_S)
