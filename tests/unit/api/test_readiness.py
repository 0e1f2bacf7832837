"""Readiness: probes are rare, shared and limited in time, and never cause an error."""

import asyncio
from dataclasses import dataclass, field

from api.readiness import Readiness
from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from tests.worlds.api import make_world

CALLERS = 50
STORES = ("cassandra", "redis", "s3", "kafka")


@dataclass(slots=True)
class Store:
    """A store whose probe fails with `error`, or waits for `go`."""

    error: Exception | None = None
    asked: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def probe(self) -> None:
        self.asked += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class Clock:
    s: float = 100.0

    def __call__(self) -> float:
        return self.s


def readiness(store: Store, clock: Clock, *, probe_s_max: float = 5.0) -> Readiness:
    return Readiness({"redis": store.probe}, probe_s_max=probe_s_max, clock_s=clock)


async def test_callers_at_once_share_one_probe() -> None:
    """If many callers ask at the same time, the store is probed once."""
    store, clock = Store(), Clock()
    ready = readiness(store, clock)
    asking = [asyncio.create_task(ready.missing()) for _ in range(CALLERS)]
    await eventually("the store to be asked", lambda: store.asked)
    store.go.set()

    assert await asyncio.gather(*asking) == [[]] * CALLERS
    assert store.asked == 1


async def test_a_result_is_used_for_a_second() -> None:
    """This holds for failures and successes. The second begins when the probe has ended."""
    store, clock = Store(error=StoreUnavailable("redis", "probe", "OOM")), Clock()
    store.go.set()
    ready = readiness(store, clock)

    results = [await ready.missing() for _ in range(CALLERS)]
    store.error = None
    clock.s += 0.99
    results.append(await ready.missing())
    clock.s += 0.01
    recovered = await ready.missing()

    assert results == [["redis"]] * (CALLERS + 1)
    assert (recovered, store.asked) == ([], 2)


async def test_a_caller_that_hangs_up_does_not_end_the_probe() -> None:
    """The other callers still get the result of the probe."""
    store, clock = Store(), Clock()
    ready = readiness(store, clock)
    first, second = (asyncio.create_task(ready.missing()) for _ in range(2))
    await eventually("the store to be asked", lambda: store.asked)
    first.cancel()
    await asyncio.wait({first})
    store.go.set()

    assert (await second, store.asked) == ([], 1)


async def test_a_store_that_hangs_is_missing_in_time() -> None:
    """The result does not wait for the driver: after `probe_s_max` the store is named as
    missing."""
    assert await readiness(Store(), Clock(), probe_s_max=0.01).missing() == ["redis"]


async def test_an_error_that_nobody_expected_is_a_missing_store() -> None:
    """A bug in a probe gives 503 with the name of the store, never 500."""
    store = Store(error=KeyError("a bug"))
    store.go.set()

    assert await readiness(store, Clock()).missing() == ["redis"]


async def test_a_store_whose_probe_fails_is_named() -> None:
    """Only the probe fails and all other reads succeed, as with a Redis whose memory is full."""
    world = await make_world()
    details = []
    async with world.client() as client:
        for store in STORES:
            world.switches[f"{store}_probe"].failing = {"check"}
            await world.later(1)
            response = await client.get("/readyz")
            details.append((response.status_code, response.json()["detail"]))
            world.switches[f"{store}_probe"].failing = set()

    assert details == [(503, f"No answer from {store}.") for store in STORES]


async def test_readyz_probes_once_however_many_ask() -> None:
    """All calls of one second cause one probe of each store."""
    world = await make_world()
    probes = [world.switches[f"{store}_probe"] for store in STORES]
    async with world.client() as client:
        responses = await asyncio.gather(*(client.get("/readyz") for _ in range(CALLERS)))

    assert {response.status_code for response in responses} == {200}
    assert [probe.calls for probe in probes] == [["check"]] * len(STORES)


async def test_the_last_result_is_there_at_once_and_asks_for_the_next_one() -> None:
    """A page must not wait for a store that hangs."""
    store, clock = Store(error=StoreUnavailable("redis", "ping", "down")), Clock()
    ready = readiness(store, clock)
    assert {"redis": None} == ready.last()
    await eventually("the store is asked", lambda: store.asked)
    assert {"redis": None} == ready.last()
    store.go.set()
    await ready.missing()

    assert {"redis": False} == ready.last()
    store.error = None
    clock.s += 1.0
    assert {"redis": False} == ready.last()
    await ready.missing()
    assert {"redis": True} == ready.last()
    assert 2 == store.asked
