"""Two of three lists of the undelivered photos are enough, whatever the third server does."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from itertools import combinations
from typing import Any

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from bench.traffic.waiting import eventually
from schemas.ids import PhotoId, UserId
from streams.errors import StoreUnavailable
from streams.stores.redis.undelivered import LISTS, RedisUndeliveredPhotos, lists_of

NAMES = [f"n{number}.".encode() + b"w" for number in range(200)]
AUTHOR = UserId(2)
ONE, TWO, THREE = ((PhotoId(number), AUTHOR) for number in (7, 8, 9))


class FakeCluster:
    """Sorted sets by key; those in `hangs` do not respond, and those in `away` fail."""

    is_cluster = True

    def __init__(self) -> None:
        self.sets: defaultdict[bytes, dict[bytes, int]] = defaultdict(dict)
        self.hangs: set[bytes] = set()
        self.away: set[bytes] = set()

    async def call(self, _: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await run(*args)

    async def ask(self, *command: bytes) -> Any:
        name, key, *args = command
        if key in self.hangs:
            await asyncio.Event().wait()
        if key in self.away:
            raise StoreUnavailable("redis", name.decode(), "away")
        entries = self.sets[key]
        match name:
            case b"ZADD":
                entries |= {entry: int(score) for score, entry in zip(args[::2], args[1::2], strict=True)}
            case b"ZREM":
                for entry in args:
                    entries.pop(entry, None)
            case b"ZRANGE":
                return list(entries)
        return None

    async def ask_together(self, commands: Iterable[tuple[bytes, ...]]) -> list[Any]:
        return [await self.ask(*command) for command in commands]


def made() -> tuple[FakeCluster, RedisUndeliveredPhotos, list[bytes]]:
    cluster: Any = FakeCluster()
    photos = RedisUndeliveredPhotos(cluster, namespace="t.", wait_s=0.05, clock_ms=lambda: 1)
    return cluster, photos, lists_of(b"t.w", is_cluster=True)


def test_each_list_is_in_another_third_of_the_slots() -> None:
    """So three primaries with as many slots each have one list each; versions before know the first one."""
    for name in NAMES:
        lists = lists_of(name, is_cluster=True)
        assert lists[0] == name
        thirds = {key_slot(key) * LISTS // REDIS_CLUSTER_HASH_SLOTS for key in lists}
        assert (len(lists), len(thirds)) == (LISTS, LISTS)
    assert lists_of(b"w", is_cluster=False) == [b"w"]


@pytest.mark.law("L15")
@pytest.mark.parametrize("first", range(LISTS))
@pytest.mark.parametrize("second", range(LISTS))
@pytest.mark.parametrize("how", ["hangs", "away"])
async def test_a_list_that_does_not_respond_hides_no_photo(how: str, first: int, second: int) -> None:
    """Neither if it is another one while the photos are read than while they were added."""
    cluster, photos, lists = made()
    broken: set[bytes] = getattr(cluster, how)
    broken.add(lists[first])
    async with asyncio.timeout(10):
        await photos.begin([ONE, TWO])
        broken.clear()
        broken.add(lists[second])
        assert await photos.all() == dict([ONE, TWO])
        await photos.end([ONE])
        broken.clear()
        await photos.begin([THREE])
        await eventually("the third list has it", lambda: all(len(cluster.sets[key]) for key in lists))


@pytest.mark.parametrize("broken", list(combinations(range(LISTS), 2)))
async def test_one_list_is_not_enough(broken: tuple[int, int]) -> None:
    """A reader might ask the others."""
    cluster, photos, lists = made()
    cluster.away = {lists[at] for at in broken}
    for call in (photos.begin([ONE]), photos.end([ONE]), photos.all()):
        with pytest.raises(StoreUnavailable):
            await call


async def test_nothing_waits_for_a_list_that_hangs() -> None:
    """Not even for `wait_s`."""
    cluster, photos, lists = made()
    photos._wait_s = 60.0
    cluster.hangs.add(lists[1])
    async with asyncio.timeout(10):
        await photos.begin([ONE])
        assert await photos.all() == dict([ONE])
        await photos.end([ONE])
    for call in photos._calls:
        call.cancel()


async def test_a_list_that_responds_again_forgets_what_ended_meanwhile() -> None:
    """Until then its readers read one list more. What begins again is not forgotten."""
    cluster, photos, lists = made()
    await photos.begin([ONE, TWO])
    await eventually("all lists have it", lambda: all(len(cluster.sets[key]) == 2 for key in lists))
    cluster.away.add(lists[2])
    await photos.end([ONE, TWO])
    await photos.begin([TWO])
    cluster.away.clear()
    assert await photos.all() == dict([ONE, TWO])

    await photos.begin([THREE])
    await photos.end([THREE])
    await eventually("the third list has done it", lambda: not photos._calls)
    assert await photos.all() == dict([TWO])
    assert [len(cluster.sets[key]) for key in lists] == [1, 1, 1]
