"""The monitor says which brokers it does not reach, and of which it does not know."""

from typing import Any

import pytest

from streams.errors import StoreUnavailable
from streams.monitor.sources.brokers import REMEMBERED_S, Brokers


class World:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.found: dict[str, float | None] | None = {}
        self.brokers = Brokers(probe=self, stale_s=10, clock_s=lambda: self.now_s)

    async def response_times_s(self) -> dict[str, float | None]:
        if self.found is None:
            raise StoreUnavailable("kafka", "brokers", "down")
        return self.found

    async def read(self, now_s: float, **found: float | None) -> None:
        self.now_s, self.found = now_s, found
        await self.brokers.read()

    def states(self) -> dict[str, tuple[str, Any]]:
        return {known["broker"]: (known["state"], known["response_ms"]) for known in self.brokers.json()}


async def test_a_broker_that_does_not_respond_is_away() -> None:
    world = World()
    await world.read(0, a=0.00123, b=None)

    assert {"a": ("OK", 1.2), "b": ("AWAY", None)} == world.states()


async def test_a_broker_that_left_the_cluster_is_away_for_an_hour() -> None:
    """A killed one leaves it within seconds, and nobody but this would say that it is missing."""
    world = World()
    await world.read(0, a=0.001, b=0.001)
    await world.read(REMEMBERED_S, a=0.001)
    assert {"a": ("OK", 1.0), "b": ("AWAY", None)} == world.states()
    await world.read(REMEMBERED_S + 1, a=0.001)

    assert {"a": ("OK", 1.0)} == world.states()


async def test_what_was_learned_long_ago_is_not_known_now() -> None:
    """A reading that fails changes nothing."""
    world = World()
    await world.read(0, a=0.001, b=None)
    world.now_s, world.found = 10.0, None
    with pytest.raises(StoreUnavailable):
        await world.brokers.read()
    assert {"a": ("OK", 1.0), "b": ("AWAY", None)} == world.states()
    world.now_s = 10.1

    assert {"a": ("NO-DATA", None), "b": ("NO-DATA", None)} == world.states()
