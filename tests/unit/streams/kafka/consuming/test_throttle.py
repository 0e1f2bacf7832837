"""Bulk sleeps in proportion to its work, but only while urgent work is under way."""

import asyncio

import pytest

from streams.kafka.consuming.throttle import BackgroundThrottle


@pytest.fixture
def rests_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The arguments of `asyncio.sleep`, in seconds; the test does not really sleep."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_nothing_to_give_way_to_means_no_rest(rests_s: list[float]) -> None:
    """Without urgent work bulk does not sleep, also after urgent work has ended."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=9)
    await way.rest(0.5)
    with way.urgent():
        pass
    await way.rest(0.5)

    assert rests_s == []


async def test_the_rest_is_a_multiple_of_the_work(rests_s: list[float]) -> None:
    """On a slow machine both take longer, so bulk's share of the time stays the same."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=9)
    with way.urgent():
        await way.rest(0.5)
        await way.rest(0.01)

    assert rests_s == [1.5, 0.03]


async def test_no_rest_is_longer_than_the_limit(rests_s: list[float]) -> None:
    """Otherwise, if a store takes two seconds to respond, bulk would sleep for six."""
    way = BackgroundThrottle(rest_ratio=3, rest_s_max=0.5)
    with way.urgent():
        await way.rest(2.0)

    assert rests_s == [0.5]


async def test_each_piece_of_work_counts_until_it_is_done(rests_s: list[float]) -> None:
    """Of two overlapping pieces the inner one raises; each stops counting when it ends."""
    way = BackgroundThrottle(rest_ratio=1, rest_s_max=9)
    with way.urgent():
        with pytest.raises(KeyError), way.urgent():
            raise KeyError
        await way.rest(1.0)
    await way.rest(2.0)

    assert rests_s == [1.0]
