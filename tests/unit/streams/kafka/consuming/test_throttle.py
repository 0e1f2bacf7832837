"""Bulk rests in proportion to its work while there is work that a user waits for, and only then."""

import asyncio

import pytest

from streams.kafka.consuming.throttle import BackgroundThrottle


@pytest.fixture
def rests_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, in seconds; nobody really sleeps."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_nothing_to_give_way_to_means_no_rest(rests_s: list[float]) -> None:
    """Bulk has the machine to itself, also after others had work."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=9)
    await way.rest(0.5)
    with way.urgent():
        pass
    await way.rest(0.5)

    assert rests_s == []


async def test_the_rest_is_a_multiple_of_the_work(rests_s: list[float]) -> None:
    """A slow machine makes both longer, so bulk's share of it stays the same."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=9)
    with way.urgent():
        await way.rest(0.5)
        await way.rest(0.01)

    assert rests_s == [1.5, 0.03]


async def test_no_rest_is_longer_than_the_limit(rests_s: list[float]) -> None:
    """A store that takes two seconds for an answer would have bulk stand still for six."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=0.5)
    with way.urgent():
        await way.rest(2.0)

    assert rests_s == [0.5]


async def test_each_piece_of_work_counts_until_it_is_done(rests_s: list[float]) -> None:
    """Two overlap; a third ends with an error, and is over all the same."""
    way = BackgroundThrottle(rest_ratio=1, rest_s_max=9)
    with way.urgent():
        with pytest.raises(KeyError), way.urgent():
            raise KeyError
        await way.rest(1.0)
    await way.rest(2.0)

    assert rests_s == [1.0]
