"""A run beside other work: one at a time, it ends with the process, and its record says how."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from bench.traffic.waiting import eventually
from streams.clock import unix_ms
from streams.core.dead_letters import Selection
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.background import BackgroundRuns, DeadLetterTopics, RunUnderWay
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.run import Action
from streams.settings import ReplaySettings
from streams.stores.memory.budget import MemoryLeases
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
    leases: MemoryLeases = field(default_factory=lambda: MemoryLeases(unix_ms))
    lease_ms: int = 15_000

    def __post_init__(self) -> None:
        self.goes_on.set()
        self.log = SlowLog([letter(offset) for offset in range(5)], goes_on=self.goes_on)
        self.runs = BackgroundRuns(
            topics=self.topics,
            handled=MemoryHandledDeadLetters(lambda: NOW_MS),
            operations=self.operations,
            leases=self.leases,
            settings=ReplaySettings(
                dead_letter_replays_per_s=self.per_s, dead_letter_run_lease_ms=self.lease_ms
            ),
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


async def test_one_run_is_under_way_over_all_processes(caplog: pytest.LogCaptureFixture) -> None:
    """It holds its lease for longer than that lasts. A refusal is no failure."""
    one = World(lease_ms=30)
    other = World(leases=one.leases)
    await one.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await eventually("three letters", lambda: len(one.replays.published) >= 3)
    with pytest.raises(RunUnderWay):
        await other.runs.start(Action.REPLAY, ALL_LIKES, by="user 8")
    await one.runs.close()
    await other.runs.start(Action.REPLAY, ALL_LIKES, by="user 8")
    await other.runs.close()

    assert ["started", "stopped"] == one.operations.states == other.operations.states
    assert [] == caplog.records


async def test_a_killed_run_holds_the_next_one_back_until_its_lease_ends() -> None:
    now_ms = [NOW_MS]
    world = World(leases=MemoryLeases(lambda: now_ms[0]))
    await world.leases.take("dead-letters", "killed", slots_max=1, ttl_ms=world.lease_ms)
    now_ms[0] += world.lease_ms - 1
    with pytest.raises(RunUnderWay):
        await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    now_ms[0] += 1
    await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    await world.runs.close()


async def test_a_run_that_lost_its_lease_to_another_stops() -> None:
    """Redis came back empty, and another process has begun a run."""
    one = World(lease_ms=30)
    await one.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")
    one.leases._until_ms.clear()
    await one.leases.take("dead-letters", "another", slots_max=1, ttl_ms=60_000)
    await eventually("the end", lambda: one.operations.states == ["started", "stopped"])


async def test_while_redis_is_away_a_run_goes_on_and_none_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three renewals fail, and one succeeds."""
    world, renewals = World(lease_ms=15), []
    await world.runs.start(Action.REPLAY, ALL_LIKES, by="user 7")

    async def away(*_: object, **__: object) -> bool:
        renewals.append(1)
        raise StoreUnavailable("redis", "leases", "down")

    with monkeypatch.context() as patched:
        patched.setattr(world.leases, "take", away)
        await eventually("three renewals", lambda: len(renewals) >= 3)
        with pytest.raises(StoreUnavailable):
            await World(leases=world.leases).runs.start(Action.REPLAY, ALL_LIKES, by="user 8")
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert 5 == len(world.replays.published)


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
