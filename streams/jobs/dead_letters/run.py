"""Replay or discard dead letters: each run goes once through them, and is on the topic `operations`.

A letter is published and acknowledged before it is marked as replayed. If the run is killed between the two,
the next run replays the letter once more, which changes nothing: events may come twice. So no letter is lost,
and what is marked is never replayed. Two runs at once may both replay a letter, for the same reason.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from uuid import uuid4

from more_itertools import sliced

from schemas.operations import RunState, encode_dead_letters_run
from streams.clock import unix_ms
from streams.core.dead_letters import DeadLetter, Obstacle, Selection, obstacle
from streams.core.overload.pace import Pace
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.ports import OperationsLog, Replays
from streams.jobs.dead_letters.scan import Scan
from streams.ports.coordination import HandledDeadLetters, HandledLetter, Outcome
from streams.settings import ReplaySettings
from topics.catalogue import dead_letter_of

STEP_LETTERS_MAX = 300  # One batch of Cassandra.
STEPS_PER_S = 10  # Of a replay: its rate is even to a tenth of a second.
LATE_S_MAX = 0.2
# Kafka removes whole segments of a log, so a letter may be there for the seven days of a segment longer than
# its topic's retention, and some hours until the log is cleaned.
SEGMENT_S_MAX = 8 * 86_400


class Action(StrEnum):
    """What a run does to dead letters."""

    REPLAY = "replay"
    DISCARD = "discard"

    @property
    def outcome(self) -> Outcome:
        """What becomes of a letter by it."""
        return Outcome.REPLAYED if self is Action.REPLAY else Outcome.DISCARDED


@dataclass(slots=True)
class Counts:
    """`done` by topic and reason, `left` by obstacle; `handled_before` were not touched."""

    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: Counter[Obstacle] = field(default_factory=Counter)
    handled_before: int = 0


@dataclass(slots=True, kw_only=True)
class Run:
    """One run by the person `by`, over the letters of `scan` that `selection` includes.

    `selected` says the same for the people who read the topic `operations`. `progressed` is called with the
    number of offsets that were passed.
    """

    action: Action
    by: str
    selected: Mapping[str, object]
    scan: Scan
    selection: Selection
    settings: ReplaySettings
    handled: HandledDeadLetters
    replays: Replays
    operations: OperationsLog
    progressed: Callable[[int], None] = lambda _: None
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    id: str = field(default_factory=lambda: str(uuid4()), init=False)
    counts: Counts = field(default_factory=Counts, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def stop(self) -> None:
        """End after the letters that are being handled; the next run goes on with the others."""
        self._stopping.set()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    async def rehearse(self) -> None:
        """Count what `execute` would do now, and do nothing.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond.
        """
        async with aclosing(self._possible()) as possible:
            async for letters in possible:
                self._count(letters)

    async def execute(self) -> None:
        """Handle the letters.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond. `counts` says what was done; the next run
                goes on with the rest.
        """
        await self._announce(RunState.STARTED)
        try:
            await self._handle_all()
        except Exception:
            with suppress(StoreUnavailable):
                await self._announce(RunState.FAILED)
            raise
        await self._announce(RunState.STOPPED if self.is_stopped else RunState.FINISHED)

    async def _handle_all(self) -> None:
        per_s = self.settings.dead_letter_replays_per_s
        pace = Pace(per_s, LATE_S_MAX, self.clock_s())
        step = STEP_LETTERS_MAX
        if self.action is Action.REPLAY:
            step = min(step, max(1, per_s // STEPS_PER_S))
        async with aclosing(self._possible()) as possible:
            async for letters in possible:
                if self.is_stopped:
                    return
                for some in sliced(letters, step):
                    if self.action is Action.REPLAY:
                        await self._wait_for(pace)
                    if self.is_stopped:
                        return
                    await self._handle(some)
                    pace.spend(len(some), self.clock_s())

    async def _possible(self) -> AsyncGenerator[Sequence[DeadLetter], None]:
        """Yield the letters that can be handled, each time of one partition; count those that cannot."""
        async with aclosing(self.scan.read(self.selection)) as batches:
            async for batch in batches:
                waiting = [letter for letter, outcome in batch.letters if outcome is None]
                self.counts.handled_before += len(batch.letters) - len(waiting)
                obstacles = [self._obstacle(letter) for letter in waiting]
                self.counts.left.update(found for found in obstacles if found is not None)
                yield [letter for letter, found in zip(waiting, obstacles, strict=True) if found is None]
                self.progressed(batch.offsets)

    def _obstacle(self, letter: DeadLetter) -> Obstacle | None:
        if self.action is Action.DISCARD:
            return None
        return obstacle(letter, attempts_max=self.settings.dead_letter_attempts_max)

    async def _wait_for(self, pace: Pace) -> None:
        """Wait until the rate allows more, or the run is stopped."""
        wait_s = pace.free_s - self.clock_s()
        if wait_s > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _handle(self, letters: Sequence[DeadLetter]) -> None:
        if self.action is Action.REPLAY:
            await self.replays.publish(letters)
        dead_letters = dead_letter_of(letters[0].topic)
        await self.handled.mark(
            dead_letters.name,
            letters[0].partition,
            [HandledLetter(letter.offset, letter.timestamp_ms, self.action.outcome) for letter in letters],
            run=self.id,
            life_s=dead_letters.retention_ms // 1_000 + SEGMENT_S_MAX,
        )
        self._count(letters)

    def _count(self, letters: Sequence[DeadLetter]) -> None:
        self.counts.done.update((letter.topic.name, letter.reason) for letter in letters)

    async def _announce(self, state: RunState) -> None:
        counts = self.counts
        numbers = {
            self.action.outcome.value: counts.done.total(),
            "handled_before": counts.handled_before,
            **{f"left_{found.name.lower()}": number for found, number in counts.left.items()},
        }
        record = encode_dead_letters_run(
            run=self.id,
            action=self.action.value,
            state=state,
            by=self.by,
            at_ms=self.clock_ms(),
            selected=self.selected,
            counts={} if state is RunState.STARTED else numbers,
        )
        await self.operations.announce(self.id, record)
