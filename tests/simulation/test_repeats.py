"""Every handler may be killed between any two calls, or have a store fail, and is then repeated.

The end is that of an undisturbed run: the same is stored, the same is published, perhaps twice, and a reader
sees what is stored. So no effect depends on whether this run was the one that changed something, nor on what
only the process before knew.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.simulation.repeats.cases import CASES, OVERTAKEN, Overtaken
from tests.simulation.repeats.world import SETTINGS, Case, World, handled
from tests.worlds.flaky_stores import KillAt, Killed, Moment, fail, pause

# More calls than any handler makes here.
CALLS_MAX = 400


@dataclass(slots=True)
class FailOnce:
    """One call fails, before or after it was carried out; all calls suspend, so that they take turns."""

    number: int
    done: bool
    failed: Moment | None = None

    async def __call__(self, moment: Moment) -> None:
        await pause()
        if self.failed is None and (moment.number, moment.done) == (self.number, self.done):
            self.failed = moment
            fail(moment)


@pytest.mark.law("L6")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_handler_that_was_killed_at_any_call_is_repeated(case: Case, done: bool) -> None:
    undisturbed = await handled(case)
    for number in range(CALLS_MAX):
        kill = KillAt(number, done)
        world = await handled(case, kill)
        if not kill.killed:
            assert number == len(undisturbed.moments) // 2
            return
        await assert_same(world, undisturbed, f"killed at {world.moments[-1]}")
    raise AssertionError(f"still calls after {CALLS_MAX}")


@pytest.mark.law("L6")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_handler_whose_store_failed_at_any_call_is_repeated(case: Case, done: bool) -> None:
    """By the same process, while what ran beside the failed call goes on."""
    undisturbed = await handled(case)
    for number in range(CALLS_MAX):
        once = FailOnce(number, done)
        world = await handled(case, once)
        if once.failed is None:
            return
        if once.failed.operation in case.may_fail:
            continue
        if once.failed.store == "cache":
            # Counting does not wait for Redis: cached counts expire.
            world.now_ms += SETTINGS.count_copy_s * 1_000
        await assert_same(world, undisturbed, f"failed at {once.failed}")
    raise AssertionError(f"still calls after {CALLS_MAX}")


@pytest.mark.law("L6")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_two_processes_may_handle_the_same(case: Case) -> None:
    """As during a rebalance, or after a process that was paused goes on."""
    undisturbed = await handled(case)
    for lead in range(0, len(undisturbed.moments), 5):
        world = World()
        await case.given(world)
        await world.seen()

        async def late(world: World = world, lead: int = lead) -> None:
            for _ in range(lead):
                await pause()
            await case.handler(world.process())()

        await asyncio.gather(case.handler(world.process())(), late())

        await assert_same(world, undisturbed, f"the second one {lead} turns later")


@pytest.mark.law("L2")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_reader_at_any_moment_leaves_nothing_old_in_the_cache(case: Case) -> None:
    """What is cached is invalidated after it was written, not before."""
    world = World()

    async def at(_: Moment) -> None:
        await world.seen()

    await case.given(world)
    await case.handler(world.process(at))()

    assert await world.truth() == await world.seen()


@pytest.mark.law("L2")
@pytest.mark.parametrize("overtaken", OVERTAKEN, ids=lambda overtaken: overtaken.case.name)
async def test_a_process_that_was_paused_at_any_call_may_go_on_a_minute_later(overtaken: Overtaken) -> None:
    """Another one has handled the same meanwhile, and what came after it."""
    case = overtaken.case
    for number in range(CALLS_MAX):
        world, expected = World(), dict[str, object]()

        async def at(
            moment: Moment, world: World = world, number: int = number, expected: dict[str, object] = expected
        ) -> None:
            await pause()
            if not expected and (moment.number, moment.done) == (number, False):
                expected["is paused"] = True
                world.now_ms += 60_000
                await case.handler(world.process())()
                await overtaken.later(world.process())()
                expected |= await world.settled()
                await world.seen()

        await case.given(world)
        await world.seen()
        await case.handler(world.process(at))()
        if not expected:
            return
        assert expected == {"is paused": True, **await world.settled()}, f"paused before call {number}"
        assert await world.truth() == await world.seen(), f"paused before call {number}"
    raise AssertionError(f"still calls after {CALLS_MAX}")


@pytest.mark.law("L2")
@pytest.mark.parametrize(
    "overtaken",
    [each for each in OVERTAKEN if not each.is_ordered],
    ids=lambda overtaken: overtaken.case.name,
)
async def test_a_process_that_was_killed_at_any_call_is_overtaken_and_repeated(overtaken: Overtaken) -> None:
    """What comes after it is handled first, because it is in another partition."""
    case = overtaken.case
    in_order = await handled(case)
    await overtaken.later(in_order.process())()
    for number in range(CALLS_MAX):
        world, kill = World(), KillAt(number, done=True)
        await case.given(world)
        await world.seen()
        with suppress(Killed):
            await case.handler(world.process(kill))()
        if not kill.killed:
            return
        await world.seen()
        await overtaken.later(world.process())()
        await world.seen()
        await case.handler(world.process())()

        assert await in_order.settled() == await world.settled(), f"killed at call {number}"
        assert await world.truth() == await world.seen(), f"killed at call {number}"
    raise AssertionError(f"still calls after {CALLS_MAX}")


async def assert_same(world: World, undisturbed: World, what: str) -> None:
    assert await undisturbed.stored() == await world.stored(), what
    assert undisturbed.published.records == world.published.records, what
    assert await world.truth() == await world.seen(), what
