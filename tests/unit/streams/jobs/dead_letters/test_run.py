"""A run replays or discards each waiting dead letter, loses none, and handles none that is done."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from schemas.envelope import Reason
from streams.core.dead_letters import DeadLetter, Obstacle, Selection
from streams.core.overload.pace import Pace
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.run import SEGMENT_S_MAX, Action, Run
from streams.jobs.dead_letters.scan import Scan
from streams.ports.coordination import HandledLetter, Outcome
from streams.settings import ReplaySettings
from streams.stores.memory.coordination import MemoryHandledDeadLetters
from streams.stores.memory.stores import memory_stores
from tests.unit.streams.jobs.dead_letters.letters import (
    NOW_MS,
    MemoryLog,
    MemoryOperations,
    MemoryReplays,
    letter,
)
from tests.worlds.flaky_stores import FlakyStores, KillAt, Killed
from topics.catalogue import LIKES, UPLOADS, topics_with_dead_letters

FAST = ReplaySettings(dead_letter_replays_per_s=1_000_000)
ALL = Selection()


@dataclass
class World:
    """`now_ms` moves by hand."""

    log: MemoryLog
    replays: MemoryReplays = field(default_factory=MemoryReplays)
    operations: MemoryOperations = field(default_factory=MemoryOperations)
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.handled = MemoryHandledDeadLetters(lambda: self.now_ms)

    async def run(
        self,
        action: Action = Action.REPLAY,
        selection: Selection = ALL,
        settings: ReplaySettings = FAST,
    ) -> Run:
        return Run(
            action=action,
            by="ada",
            selected={"reasons": sorted(selection.reasons)},
            scan=await Scan.begin(self.log, self.handled, topics_with_dead_letters()),
            selection=selection,
            settings=settings,
            handled=self.handled,
            replays=self.replays,
            operations=self.operations,
            clock_ms=lambda: self.now_ms,
        )

    async def execute(
        self, action: Action = Action.REPLAY, selection: Selection = ALL, settings: ReplaySettings = FAST
    ) -> Run:
        run = await self.run(action, selection, settings)
        await run.execute()
        return run


def world(letters: Iterable[DeadLetter]) -> World:
    return World(MemoryLog(list(letters)))


async def test_every_waiting_letter_is_replayed_once_in_order() -> None:
    """A second run replays none."""
    made = world(map(letter, range(8)))

    first = await made.execute()
    second = await made.execute()

    assert list(range(8)) == made.replays.offsets
    assert {("likes", "not_json"): 8} == first.counts.done
    assert ({}, 8) == (second.counts.done, second.counts.handled_before)


async def test_a_rehearsal_does_nothing() -> None:
    """It counts what a run would do, also what it would leave."""
    made = world([letter(0), letter(1, attempt=3), letter(2, topic=UPLOADS)])

    run = await made.run()
    await run.rehearse()

    assert {("likes", "not_json"): 1, ("uploads", "not_json"): 1} == run.counts.done
    assert {Obstacle.ATTEMPTS: 1} == run.counts.left
    assert ([], []) == (made.replays.published, made.operations.records)
    assert {} == await made.handled.of_block("likes-dlq", 0, 0)


async def test_only_what_is_selected_is_handled() -> None:
    """The rest waits for another run."""
    made = world([letter(0), letter(1, reason=Reason.FROM_THE_FUTURE), letter(2)])
    chosen = Selection(reasons=frozenset({"from_the_future"}))

    await made.execute(selection=chosen)

    assert [1] == made.replays.offsets
    await made.execute()
    assert [1, 0, 2] == made.replays.offsets


async def test_what_was_discarded_is_not_replayed() -> None:
    """Discarding publishes nothing."""
    made = world(map(letter, range(4)))

    run = await made.execute(Action.DISCARD)

    assert {("likes", "not_json"): 4} == run.counts.done
    await made.execute()
    assert [] == made.replays.published


async def test_a_letter_at_the_last_attempt_is_left() -> None:
    """This ends the loop of a record that fails whenever it is replayed. It can be discarded."""
    made = world([letter(0, attempt=1), letter(1, attempt=2), letter(2, attempt=3)])

    run = await made.execute(settings=ReplaySettings(dead_letter_attempts_max=2))

    assert [0] == made.replays.offsets
    assert {Obstacle.ATTEMPTS: 2} == run.counts.left
    assert 2 == (await made.execute(Action.DISCARD)).counts.done.total()


@pytest.mark.parametrize(
    ("damaged", "found"),
    [
        (letter(0, value=None, left_out="value"), Obstacle.LEFT_OUT),
        (replace(letter(0), failure=None), Obstacle.FOREIGN),
        (letter(0, value=bytes(1_114_100)), Obstacle.TOO_LARGE),
    ],
)
async def test_what_cannot_be_published_as_it_was_is_left(damaged: DeadLetter, found: Obstacle) -> None:
    """Parts were left out, somebody else wrote it, or the topic would not take it."""
    made = world([damaged, letter(1)])

    run = await made.execute()

    assert [1] == made.replays.offsets
    assert {found: 1} == run.counts.left


@pytest.mark.parametrize("fail_at", [1, 2, 3])
async def test_after_a_failure_none_is_lost(fail_at: int) -> None:
    """What may have been published, but is not acknowledged, is replayed again by the next run, in order."""
    made = world(map(letter, range(8)))
    made.replays.fail_at = fail_at

    with pytest.raises(StoreUnavailable):
        await made.execute()
    await made.execute()

    first_of_repeated = 3 * (fail_at - 1)
    assert [*range(min(8, first_of_repeated + 3)), *range(first_of_repeated, 8)] == made.replays.offsets
    assert ["started", "failed", "started", "finished"] == made.operations.states


@pytest.mark.law("L7")
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_run_that_is_killed_anywhere_loses_none(done: bool) -> None:
    """Killed before or after each of its calls, then repeated: each letter is published, in order, and at
    most the letters of one step twice."""
    numbers, killed = count(), True
    while killed:
        made = world(map(letter, range(8)))
        kill = KillAt(next(numbers), done)
        flaky = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS), at=kill)
        run = await made.run()
        run.handled = flaky.around("handled", made.handled)
        run.replays = flaky.around("replays", made.replays)
        run.operations = flaky.around("operations", made.operations)
        with suppress(Killed):
            await run.execute()
        killed = kill.killed
        before = made.replays.offsets

        await made.execute()

        repeated = len(made.replays.offsets) - 8
        assert list(range(len(before))) == before
        assert list(range(len(before) - repeated, 8)) == made.replays.offsets[len(before) :]
        assert 0 <= repeated <= 3
        assert 0 == (await made.execute()).counts.done.total()


async def test_letters_are_marked_only_after_they_are_published() -> None:
    """A run that was killed between the two repeats them."""
    made = world(map(letter, range(2)))
    marked: list[int] = []

    class Watched(MemoryReplays):
        async def publish(self, letters: Sequence[DeadLetter]) -> None:
            marked.append(len(await made.handled.of_block("likes-dlq", 0, 0)))
            await super().publish(letters)

    made.replays = Watched()
    await made.execute(settings=ReplaySettings(dead_letter_replays_per_s=10))

    assert [0, 1] == marked


async def test_a_stopped_run_says_so_and_the_next_goes_on() -> None:
    """The letters that are being published are marked before the end."""
    made = world(map(letter, range(8)))
    run = await made.run()
    run.progressed = lambda _: run.stop()
    await run.execute()

    assert [0, 1, 2] == made.replays.offsets
    assert ["started", "stopped"] == made.operations.states
    await made.execute()
    assert list(range(8)) == made.replays.offsets


async def test_a_stop_ends_the_wait_for_the_rate() -> None:
    """Without it this test would take most of an hour."""
    made = world(map(letter, range(3_600)))
    run = await made.run(settings=ReplaySettings(dead_letter_replays_per_s=1))

    class Stopping(MemoryReplays):
        async def publish(self, letters: Sequence[DeadLetter]) -> None:
            await super().publish(letters)
            run.stop()

    run.replays = Stopping()
    await run.execute()

    assert run.is_stopped
    assert 1 == run.counts.done.total()


async def test_the_rate_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last two of 20 letters at 100 a second follow after 0.18 s, and no step is more than a tenth."""
    made = world(map(letter, range(20)))
    now_s: list[float] = [0.0]
    times_s: list[float] = []

    class Timed(MemoryReplays):
        async def publish(self, letters: Sequence[DeadLetter]) -> None:
            times_s.append(round(now_s[0], 3))
            assert len(letters) <= 10

    run = await made.run(settings=ReplaySettings(dead_letter_replays_per_s=100))
    run.replays = Timed()
    run.clock_s = lambda: now_s[0]

    async def wait(_: Run, pace: Pace) -> None:
        now_s[0] = max(now_s[0], pace.free_s)

    monkeypatch.setattr(Run, "_wait_for", wait)
    await run.execute()

    assert 20 == run.counts.done.total()
    assert 0.18 == times_s[-1]


async def test_both_ends_of_a_run_are_announced() -> None:
    """Who, what, which, how many and when; a run that was killed has only the start."""
    made = world([letter(0), letter(1, attempt=3), letter(2)])
    await made.execute(selection=Selection(reasons=frozenset({"not_json"})))
    await made.execute(Action.DISCARD)

    started, finished, *_, discarded = made.operations.records
    assert started == {
        "type": "dead_letters_run",
        "run": finished["run"],
        "action": "replay",
        "state": "started",
        "by": "ada",
        "at": "2027-01-15T08:00:00.000000Z",
        "selected": {"reasons": ["not_json"]},
        "counts": {},
    }
    assert {**started, "state": "finished", "counts": finished["counts"]} == finished
    assert {"replayed": 2, "handled_before": 0, "left_attempts": 1} == finished["counts"]
    assert {"discarded": 1, "handled_before": 2} == discarded["counts"]


async def test_marks_outlive_their_letters() -> None:
    """A letter stays in Kafka for the retention of its topic and the age of a segment."""
    made = world([letter(0)])
    await made.execute()

    made.now_ms += 38 * 86_400_000 - 1
    assert 30 * 86_400 + SEGMENT_S_MAX == 38 * 86_400
    assert 1 == (await made.execute()).counts.handled_before


async def test_another_letter_at_the_offset_of_a_handled_one_waits() -> None:
    """The topic was created again. Its letters must not be taken for those of the one before."""
    made = world([letter(0)])
    await made.execute()
    made.log.letters = [letter(0, failed_ms=NOW_MS + 1)]

    await made.execute()

    assert [NOW_MS, NOW_MS + 1] == [published.timestamp_ms for published in made.replays.published]


async def test_marks_of_other_topics_and_blocks_do_not_count() -> None:
    """The same offset of another topic, and the offset of another block."""
    made = world([letter(5), letter(10_005), letter(5, topic=UPLOADS)])
    mark = HandledLetter(10_005, NOW_MS, Outcome.DISCARDED)
    await made.handled.mark("likes-dlq", 0, [mark], run="5f3c9a", life_s=60)

    await made.execute()

    assert [(UPLOADS, 5), (LIKES, 5)] == [(sent.topic, sent.offset) for sent in made.replays.published]
