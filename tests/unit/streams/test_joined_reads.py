"""Reads that several callers share."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from bench.traffic.waiting import eventually
from streams.errors import StoreUnavailable
from streams.fairness import NOBODY, REQUESTER, Requester
from streams.joined_reads import JoinedReads


@dataclass
class _Reads:
    """Reads that wait until they are let go; each returns its own number for its keys."""

    keys: list[list[str]] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.keys.append(sorted(keys))
        number = len(self.keys)
        await self.may_end.wait()
        return dict.fromkeys(keys, number)


async def test_callers_during_a_read_share_the_next_one() -> None:
    """Each key is read once for all of them, and never by the read that began before they asked."""
    reads = _Reads()
    joined = JoinedReads(reads)
    first = asyncio.create_task(joined.get(["a"]))
    await eventually("the first read", lambda: len(reads.keys) == 1)
    others = [asyncio.create_task(joined.get(keys)) for keys in (["a", "b"], ["b", "c"], ["a"])]
    await asyncio.sleep(0)
    reads.may_end.set()

    assert await first == {"a": 1}
    assert [await other for other in others] == 3 * [{"a": 2, "b": 2, "c": 2}]
    assert reads.keys == [["a"], ["a", "b", "c"]]


async def test_a_cancelled_caller_leaves_the_read_to_the_others() -> None:
    """The first caller of a read begins it, but does not own it."""
    reads = _Reads()
    joined = JoinedReads(reads)
    first, second = (asyncio.create_task(joined.get([key])) for key in "ab")
    await eventually("the read", lambda: len(reads.keys) == 1)
    first.cancel()
    reads.may_end.set()

    assert await second == {"a": 1, "b": 1}


async def test_a_failed_read_fails_its_callers_only() -> None:
    """The callers of the next read get its result."""
    outcomes = iter([StoreUnavailable("redis", "get", "down"), None])

    async def read(keys: Sequence[str]) -> Mapping[str, int]:
        if error := next(outcomes):
            raise error
        return dict.fromkeys(keys, 1)

    joined = JoinedReads(read)
    with pytest.raises(StoreUnavailable):
        await joined.get(["a"])

    assert await joined.get(["a"]) == {"a": 1}


async def test_a_read_that_nobody_waits_for_is_cancelled() -> None:
    """Its deadline is that of the last caller. The next caller gets a read of its own."""
    reads = _Reads()
    joined = JoinedReads(reads)
    first = asyncio.create_task(joined.get(["a"]))
    await eventually("the first read", lambda: len(reads.keys) == 1)
    second = asyncio.create_task(joined.get(["b"]))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    reads.may_end.set()

    assert await joined.get(["c"]) == {"c": 2}
    assert reads.keys == [["a"], ["c"]]


async def test_a_read_of_several_requesters_is_nobodys() -> None:
    """It does not wait behind the other reads of the one who happened to ask first."""
    seen: list[Requester] = []

    async def read(keys: Sequence[str]) -> Mapping[str, int]:
        seen.append(REQUESTER.get())
        return dict.fromkeys(keys, 1)

    joined = JoinedReads(read)

    async def get(user: int) -> None:
        REQUESTER.set(Requester(user))
        await joined.get(["a"])

    await asyncio.gather(asyncio.create_task(get(1)), asyncio.create_task(get(1)))
    await asyncio.gather(asyncio.create_task(get(1)), asyncio.create_task(get(2)))

    assert seen == [Requester(1), NOBODY]
