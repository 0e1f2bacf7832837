"""A clock that differs too much makes a process unready, then stops it from writing."""

import asyncio
from dataclasses import dataclass

import pytest
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from streams.jobs.clocks import Clocks
from streams.settings import ClockSettings

NOW_US = 1_800_000_000_000_000


@dataclass(slots=True)
class Store:
    """A store whose clock is `behind_us` behind ours."""

    behind_us: int = 0
    down: bool = False
    asked: int = 0

    async def now_us(self) -> int:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("redis", "TIME", "down")
        return NOW_US - self.behind_us


def clocks_of(store: Store) -> Clocks:
    return Clocks(ClockSettings(), {"redis": store}, lambda: NOW_US, lambda: 0.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("behind_ms", "is_ready", "writes"),
    [(500, True, True), (501, False, True), (5_000, False, True), (5_001, False, False)],
)
async def test_the_limits_hold_in_both_directions(
    behind_ms: int, is_ready: bool, writes: bool, sign: int
) -> None:
    """Above 500 ms the process is not ready, above 5 s it does not write; the metric has the sign."""
    clocks = clocks_of(Store(sign * behind_ms * 1_000))
    assert await clocks.compare()

    assert (clocks.not_ready() == "", clocks.refuses_writes() == "") == (is_ready, writes)
    gauge = REGISTRY.get_sample_value("shutterline_clock_ahead_seconds", {"store": "redis"})
    assert gauge == sign * behind_ms / 1_000


async def test_the_reason_names_the_store_and_the_direction() -> None:
    """An operator must know which of the two clocks to look at."""
    clocks = clocks_of(Store(1_200_000_000))
    await clocks.compare()

    assert clocks.refuses_writes() == "the clock is 1200.000 s ahead of that of redis"
    with pytest.raises(StoreUnavailable, match=r"1200\.000 s ahead"):
        await clocks.require_agreement()


async def test_an_outage_changes_no_clock() -> None:
    """A difference that is known stays until the store shows another one."""
    store = Store(10_000_000)
    clocks = clocks_of(store)
    await clocks.compare()
    store.down, store.behind_us = True, 0

    assert not await clocks.compare()
    assert clocks.refuses_writes()
    store.down = False
    assert await clocks.compare()
    assert clocks.refuses_writes() == ""


async def test_a_process_is_not_ready_before_every_clock_was_compared() -> None:
    """A store that is away at the start may differ by hours when it is back. It refuses no writes."""
    store = Store(down=True)
    clocks = Clocks(ClockSettings(), {"redis": store, "kafka": Store(600_000)}, lambda: NOW_US, lambda: 0.0)
    never, ahead = "the clock of redis has never been compared", "the clock is 0.600 s ahead of that of kafka"
    assert clocks.not_ready() == f"the clock of kafka has never been compared; {never}"
    await clocks.compare()

    assert (clocks.not_ready(), clocks.refuses_writes()) == (f"{never}; {ahead}", "")
    await clocks.require_agreement()
    store.down = False
    await clocks.compare()
    assert clocks.not_ready() == ahead


async def test_the_loop_compares_at_once() -> None:
    """It does not begin with a wait."""
    store = Store()
    running = asyncio.create_task(clocks_of(store).run())
    await eventually("the store is asked", lambda: store.asked)
    running.cancel()
    await asyncio.wait({running})


async def test_a_clock_that_jumps_is_noticed_at_once() -> None:
    """Not with the next comparison: until then a minute of writes would be lost. Time that merely passes is
    no jump."""
    wall_us, monotonic_s = NOW_US, 100.0
    clocks = Clocks(ClockSettings(), {"redis": Store()}, lambda: wall_us, lambda: monotonic_s)
    await clocks.compare()
    wall_us, monotonic_s = wall_us + 50_000_000, monotonic_s + 50.0
    assert clocks.not_ready() == ""

    wall_us += 1_200_000_000

    assert clocks.refuses_writes() == "the clock is 1200.000 s ahead of that of redis"
    wall_us -= 1_200_000_000
    assert clocks.refuses_writes() == ""
