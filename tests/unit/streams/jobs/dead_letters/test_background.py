"""A run beside other work: one at a time, it ends with the process, and its record says how."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from bench.traffic.waiting import eventually
from streams.core.dead_letters import Selection
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.background import BackgroundRuns, DeadLetterTopics, RunUnderWay
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.run import Action
from streams.settings import ReplaySettings
from streams.stores.memory.coordination import MemoryHandledDeadLetters
from tests.unit.streams.jobs.dead_letters.letters import (
    NOW_MS,
    MemoryLog,
    MemoryOperations,
    MemoryReplays,
    letter,
)
from topics.catalogue import LIKES, Topic

ALL_LIKES = Choice([LIKES], Selection())


@dataclass
class SlowLog(MemoryLog):
    """Knows its offsets when `goes_on` is set."""

    goes_on: asyncio.Event = field(kw_only=True)

    async def offsets(self, topic: Topic) -> Mapping[int, range]:
        await self.goes_on.wait()
        return await super().offsets(topic)


@dataclass
class World:
    """Five dead letters, of which a replay takes a tenth of a second each."""

    per_s: int = 10
    replays: MemoryReplays = field(default_factory=MemoryReplays)
    operations: MemoryOperations = field(default_factory=MemoryOperations)
    is_away: bool = False
    bug: Exception | None = None
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()
        self.log = SlowLog([letter(offset) for offset in range(5)], goes_on=self.goes_on)
        self.runs = BackgroundRuns(
            topics=self.topics,
            handled=MemoryHandledDeadLetters(lambda: NOW_MS),
            operations=self.operations,
            settings=ReplaySettings(dead_letter_replays_per_s=self.per_s),
        )

    def topics(self) -> DeadLetterTopics:
        if self.is_away:
            raise StoreUnavailable("kafka", "sizes", "down")
        if self.bug is not None:
            raise self.bug
        return DeadLetterTopics(self.log, self.replays)


async def test_a_rehearsal_counts_and_changes_nothing() -> None:
    world = World()
    counts = await world.runs.rehearse(Action.REPLAY, ALL_LIKES)

    assert {("likes", "not_json"): 5} == dict(counts.done)
    assert ([], []) == (world.replays.published, world.operations.records)


async def test_a_run_goes_on_after_it_was_begun_and_its_records_say_by_whom() -> None:
    world = World(per_s=1_000_000)
    run = await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert 5 == len(world.replays.published)
    [started, finished] = world.operations.records
    assert {(run, "user 7")} == {(record["run"], record["by"]) for record in (started, finished)}
    assert 5 == finished["counts"]["replayed"]
    assert ["likes"] == started["selected"]["topics"]


async def test_only_one_run_is_under_way_also_if_two_begin_at_once() -> None:
    world = World()
    begun = await asyncio.gather(
        *(world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7") for _ in range(2)), return_exceptions=True
    )
    await world.runs.close()

    assert 1 == sum(isinstance(outcome, RunUnderWay) for outcome in begun)
    assert ["started", "stopped"] == world.operations.states


async def test_the_end_of_the_process_stops_a_run_in_order() -> None:
    """The next run goes on with the others."""
    world = World()
    await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("the first letter", lambda: world.replays.published)
    await world.runs.close()
    assert ["started", "stopped"] == world.operations.states
    assert len(world.replays.published) < 5

    counts = await world.runs.rehearse(Action.REPLAY, ALL_LIKES)
    assert 5 == counts.done.total() + counts.handled_before


async def test_a_run_that_cannot_begin_says_so_and_the_next_one_may() -> None:
    world = World(per_s=1_000_000, is_away=True)
    with pytest.raises(StoreUnavailable):
        await world.runs.start(Action.DISCARD, ALL_LIKES, by="user 7")
    world.is_away = False
    await world.runs.start(Action.DISCARD, ALL_LIKES, by="user 7")
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert [] == world.replays.published


async def test_an_outage_ends_a_run_as_failed_and_the_process_goes_on() -> None:
    world = World(per_s=1_000_000)
    world.replays.fail_at = 1
    await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("the end", lambda: "failed" in world.operations.states)
    await world.runs.close()


async def test_the_end_of_the_process_stops_a_run_that_only_begins() -> None:
    """Also if another one was there before."""
    world = World(per_s=1_000_000)
    await world.runs.start(
        Action.REPLAY, Choice([LIKES], Selection(reasons=frozenset(["none"]))), by="user 7"
    )
    await eventually("the end", lambda: "finished" in world.operations.states)
    world.goes_on.clear()
    beginning = asyncio.create_task(world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(world.runs.close())
    await asyncio.sleep(0)
    world.goes_on.set()
    await asyncio.gather(beginning, closing)

    assert ["started", "finished", "started", "stopped"] == world.operations.states
    assert [] == world.replays.published


async def test_a_client_that_leaves_does_not_end_what_it_began() -> None:
    world = World(per_s=1_000_000)
    world.goes_on.clear()
    beginning = asyncio.create_task(world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7"))
    await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.wait({beginning})
    world.goes_on.set()
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert 5 == len(world.replays.published)


async def test_a_bug_before_the_beginning_is_raised_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World(bug=ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await asyncio.wait_for(world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7"), 5.0)
    await world.runs.close()

    assert [("ERROR", True)] == [(record.levelname, bool(record.exc_info)) for record in caplog.records]


async def test_a_run_that_cannot_begin_is_not_logged_as_the_former_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(per_s=1_000_000)
    former = await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("the end", lambda: "finished" in world.operations.states)
    world.is_away = True
    with pytest.raises(StoreUnavailable):
        await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await world.runs.close()

    assert [("WARNING", False)] == [(record.levelname, former in record.message) for record in caplog.records]


async def test_a_bug_during_a_run_is_logged_with_the_id_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """Its record says that it failed, and the next run may begin."""
    world = World(per_s=1_000_000)
    world.replays.fail_with = ValueError("wrong")
    world.replays.fail_at = 1
    run = await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("the end", lambda: caplog.records)

    assert ["started", "failed"] == world.operations.states
    assert [("ERROR", True)] == [(record.levelname, run in record.message) for record in caplog.records]
    await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await world.runs.close()


async def test_without_a_run_there_is_nothing_to_close() -> None:
    await World().runs.close()
