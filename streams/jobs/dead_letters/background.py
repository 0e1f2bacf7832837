"""Runs over dead letters that a process does beside its other work: one at a time, over all processes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.ports import DeadLetterLog, OperationsLog, Replays
from streams.jobs.dead_letters.run import Action, Counts, Run
from streams.jobs.dead_letters.scan import Scan
from streams.ports.coordination import HandledDeadLetters
from streams.ports.leases import Leases
from streams.settings import ReplaySettings

LEASE = "dead-letters"
# A lease survives one renewal that fails.
RENEWALS_PER_LEASE = 3
log = logging.getLogger(__name__)


class RunUnderWay(Exception):
    """This process, or another one, does a run already."""


@dataclass(frozen=True, slots=True)
class DeadLetterTopics:
    """What reads dead letters and publishes them again, once the topics' sizes are known."""

    log: DeadLetterLog
    replays: Replays


@dataclass(slots=True, kw_only=True)
class BackgroundRuns:
    """The runs of this process. `leases` keep others from beginning one meanwhile, but for the command.

    While the leases are away, a run that has begun goes on, and none begins. If another process has begun one
    after that, this one stops. What both did is done once or twice, see `run.py`.

    `topics` raises StoreUnavailable while the sizes of the topics are not known. A run that fails is logged,
    and the process goes on, as after a request that fails.
    """

    topics: Callable[[], DeadLetterTopics]
    handled: HandledDeadLetters
    operations: OperationsLog
    leases: Leases
    settings: ReplaySettings
    _run: Run | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _is_closing: bool = field(default=False, init=False)
    _is_lease_lost: bool = field(default=False, init=False)

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
            StoreUnavailable: Redis, Kafka or Cassandra did not respond; nothing was begun.
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
            async with self._only_run():
                run = self._run = await self._make(action, choice, by=by)
                if self._is_closing or self._is_lease_lost:
                    run.stop()
                ready.set_result(run)
                await run.execute()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    @asynccontextmanager
    async def _only_run(self) -> AsyncIterator[None]:
        """Let no other process begin a run during the block."""
        holder = uuid4().hex
        if not await self._take(holder):
            raise RunUnderWay
        self._is_lease_lost = False
        renewing = asyncio.create_task(self._renew(holder), name="renew the lease of the run")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(StoreUnavailable):
                await self.leases.release(LEASE, holder)

    async def _renew(self, holder: str) -> None:
        is_held = True
        while is_held:
            await asyncio.sleep(self.settings.dead_letter_run_lease_ms / 1_000 / RENEWALS_PER_LEASE)
            with suppress(StoreUnavailable):
                is_held = await self._take(holder)
        self._is_lease_lost = True
        if self._run is not None:
            self._run.stop()

    async def _take(self, holder: str) -> bool:
        return await self.leases.take(
            LEASE, holder, slots_max=1, ttl_ms=self.settings.dead_letter_run_lease_ms
        )

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, RunUnderWay):
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
