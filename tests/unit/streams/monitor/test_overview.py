"""All that the monitor knows, as the API reads it."""

import pytest

from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.monitor.freshness import FreshnessLog
from streams.monitor.operations import OperationsTail
from streams.monitor.overview import Overview
from streams.monitor.sources.brokers import Brokers
from streams.monitor.sources.hottest_keys import HottestKeys
from streams.stores.memory.coordination import MemoryHandledDeadLetters
from tests.scenes.trouble import overview
from tests.unit.streams.jobs.dead_letters.letters import MemoryLog
from tests.unit.streams.monitor.test_monitor import World
from tests.unit.streams.monitor.test_operations import World as Operations
from tests.worlds.api import FakeRecords


class Probe:
    """There are no brokers."""

    async def response_times_s(self) -> dict[str, float | None]:
        return {}


def nothing_else(world: World) -> tuple[Brokers, HottestKeys]:
    brokers = Brokers(probe=Probe(), stale_s=10, clock_s=world.monitor.clock_s)
    return brokers, HottestKeys(FakeRecords())


@pytest.fixture
def world() -> World:
    return World()


async def test_before_the_first_sample_there_is_none_and_before_cassandra_no_dead_letters(
    world: World,
) -> None:
    """A source that was never read has no age."""
    tail: OperationsTail = Operations().tail
    seen = Overview(world.monitor, tail, FreshnessLog(lambda: 0), *nothing_else(world))
    assert seen.json() is None
    await world.after(2)

    body = seen.json()
    assert body is not None
    assert world.monitor.report() == body["lag"]
    assert (None, None, None) == (body["dead_letters"], body["workers"], body["freshness"])
    ages = {source["source"]: source["age_s"] for source in body["sources"]}
    assert {"kafka", "cassandra", "fanout"} == {source for source, age_s in ages.items() if age_s == 0}
    assert {"dead letters", "workers", "brokers", "operations"} == {
        source for source, age_s in ages.items() if age_s is None
    }


async def test_the_monitor_remembers_what_it_judged() -> None:
    """Ten minutes of the scene: a lag that grew, and a worker that left four groups."""
    body = await overview()
    [likes] = [lane for lane in body["history"]["lanes"] if lane["topic"] == "likes"]

    assert 60 == len(body["history"]["at"]) == len(likes["messages"])
    assert likes["messages"][-1] > 8_000 > 100 > likes["messages"][0]
    assert [["worker-2"]] * 4 == [rebalance["left"] for rebalance in body["rebalances"]]


async def test_ages_do_not_change_with_the_wall_clock(world: World) -> None:
    """It was set back by an hour after the reading, which was three seconds ago."""
    tail: OperationsTail = Operations().tail
    tail.clock_s = world.monitor.clock_s
    seen = Overview(world.monitor, tail, FreshnessLog(lambda: 0), *nothing_else(world))
    letters = MemoryLog([])
    seen.dead_letters = DeadLettersDepth(
        letters, MemoryHandledDeadLetters(lambda: 0), clock_s=world.monitor.clock_s
    )
    await tail.read()
    await seen.dead_letters.read()
    await world.after(3)
    world.monitor.clock_ms = lambda: -3_600_000

    body = seen.json()
    assert body is not None
    ages = {source["source"]: source["age_s"] for source in body["sources"]}
    assert (3, 3) == (ages["dead letters"], ages["operations"])
