"""Runs over dead letters that a process does beside its other work, one at a time in this process."""

import asyncio
import logging
from collections.abc import Callable
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
    """The runs of this process. Those of others, and of the command, it knows nothing of: see `run.py`.

    `topics` raises StoreUnavailable while the sizes of the topics are not known. A run that fails is logged,
    and the process goes on, as after a request that fails.
    """

    topics: Callable[[], DeadLetterTopics]
    handled: HandledDeadLetters
    operations: OperationsLog
    settings: ReplaySettings
    _run: Run | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _is_closing: bool = field(default=False, init=False)

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
        self._run = None
        self._task = asyncio.create_task(self._execute(action, choice, by, ready), name="dead letters")
        self._task.add_done_callback(self._ended)
        # A client that leaves does not end what it began.
        return (await asyncio.shield(ready)).id

    async def close(self) -> None:
        """End a run in order, also one that only begins: it is `stopped`; the next one does the others."""
        self._is_closing = True
        if self._task is not None:
            if self._run is not None:
                self._run.stop()
            await asyncio.wait({self._task})

    async def _execute(self, action: Action, choice: Choice, by: str, ready: "asyncio.Future[Run]") -> None:
        try:
            run = self._run = await self._make(action, choice, by=by)
        except Exception as error:
            ready.set_exception(error)
            raise
        if self._is_closing:
            run.stop()
        ready.set_result(run)
        await run.execute()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        run = "that was to begin" if self._run is None else self._run.id
        if isinstance(error, StoreUnavailable):
            log.warning("the run %s over dead letters failed: %s", run, error)
        else:
            log.error("the run %s over dead letters failed by a bug", run, exc_info=error)

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
