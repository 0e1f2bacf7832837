"""Runs over dead letters that a process does beside its other work, one at a time."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.ports import DeadLetterLog, OperationsLog, Replays
from streams.jobs.dead_letters.run import Action, Counts, Run
from streams.jobs.dead_letters.scan import Scan
from streams.ports.coordination import HandledDeadLetters
from streams.settings import ReplaySettings

log = logging.getLogger(__name__)


class RunUnderWay(Exception):
    """This process does a run already."""


@dataclass(frozen=True, slots=True)
class DeadLetterTopics:
    """What reads dead letters and publishes them again, once the topics' sizes are known."""

    log: DeadLetterLog
    replays: Replays


@dataclass(slots=True, kw_only=True)
class BackgroundRuns:
    """`topics` raises StoreUnavailable while the sizes of the topics are not known."""

    topics: Callable[[], DeadLetterTopics]
    handled: HandledDeadLetters
    operations: OperationsLog
    settings: ReplaySettings
    _run: Run | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def rehearse(self, action: Action, choice: Choice) -> Counts:
        """Count what a run would do now, and do nothing.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond.
        """
        run = await self._make(action, choice, by="")
        await run.rehearse()
        return run.counts

    async def start(self, action: Action, choice: Choice, *, by: str) -> str:
        """Begin a run and return its id. The topic `operations` says how it ends.

        Raises:
            RunUnderWay: Another one has not ended.
            StoreUnavailable: Kafka or Cassandra did not respond; nothing was begun.
        """
        if self._task is not None and not self._task.done():
            raise RunUnderWay
        # Taken before the first wait, so that two requests cannot both begin.
        ready: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._execute(action, choice, by, ready), name="dead letters")
        return (await ready).id

    async def close(self) -> None:
        """End a run in order: it is `stopped`, and the next one goes on with the others."""
        if self._task is not None:
            if self._run is not None:
                self._run.stop()
            await asyncio.wait({self._task})

    async def _execute(self, action: Action, choice: Choice, by: str, ready: "asyncio.Future[Run]") -> None:
        try:
            self._run = await self._make(action, choice, by=by)
        except StoreUnavailable as error:
            ready.set_exception(error)
            return
        ready.set_result(self._run)
        with suppress(StoreUnavailable):
            await self._run.execute()
            return
        log.warning("the run %s over dead letters failed, because a store did not respond", self._run.id)

    async def _make(self, action: Action, choice: Choice, *, by: str) -> Run:
        topics = self.topics()
        return Run(
            action=action,
            by=by,
            selected=choice.said,
            scan=await Scan.begin(topics.log, self.handled, choice.topics),
            selection=choice.selection,
            settings=self.settings,
            handled=self.handled,
            replays=topics.replays,
            operations=self.operations,
        )
