"""The API's photo ids: a process leases a shard for its first id, and another shard if it has lost
the first."""

import asyncio

import pytest

from api.http.problems import Problem
from api.photo_ids import PhotoIds
from schemas.ids import PhotoId, id_ms
from streams.stores.memory.stores import memory_stores

HOUR_MS = 3_600_000


class Clock:
    """A clock that advances by one millisecond with every reading."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


async def test_ids_rise_and_are_unique() -> None:
    """This also holds for concurrent calls and for two processes."""
    clock = Clock()
    leases = memory_stores(clock_ms=clock).shard_leases
    async with PhotoIds(leases, clock) as one, PhotoIds(leases, clock) as two:
        minted = await asyncio.gather(*(ids.mint() for ids in (one, two) * 50))

    assert len(set(minted)) == 100
    assert list(minted[::2]) == sorted(minted[::2])
    assert all(abs(id_ms(photo) - clock.now_ms) < 10_000 for photo in minted)


async def test_a_lost_shard_is_replaced() -> None:
    """A process that was idle for an hour has lost its shard. It leases another shard when one is
    free."""
    clock = Clock()
    leases = memory_stores(clock_ms=clock, shard_leases=2).shard_leases
    async with PhotoIds(leases, clock) as idle:
        first = await idle.mint()
        clock.now_ms += HOUR_MS
        async with PhotoIds(leases, clock) as one, PhotoIds(leases, clock) as two:
            others = [await one.mint(), await two.mint()]
            with pytest.raises(Problem, match="no id for the photo") as refused:
                await idle.mint()
        clock.now_ms += 10_000  # Past the ids that the others have reserved.
        again = await idle.mint()

    assert refused.value.status == 503
    assert len({first, *others, again}) == 4


async def test_while_the_clock_is_behind_ids_are_503() -> None:
    """No id is minted with a time in the past, so requests fail until the clock has caught up."""
    clock = Clock()
    async with PhotoIds(memory_stores(clock_ms=clock).shard_leases, clock) as ids:
        first: PhotoId = await ids.mint()
        clock.now_ms -= HOUR_MS
        with pytest.raises(Problem, match="the clock says"):
            await ids.mint()
        clock.now_ms += HOUR_MS
        second = await ids.mint()

    assert second > first
