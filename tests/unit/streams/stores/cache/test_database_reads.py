"""Reads of the database: bounded, and fair."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from streams.fairness import REQUESTER, Requester, Shares
from streams.stores.cache.database_reads import DatabaseReads, TooManyReads

SHARES = Shares(user=0.25, address=1.0)
USER, OTHER, THIRD = Requester(1), Requester(2), Requester(3)


class _Reading:
    """Reads that hold their slots until they are told to end."""

    def __init__(self, reads: DatabaseReads) -> None:
        self._reads = reads
        self.began: list[Requester] = []

    def begin(self, requester: Requester) -> tuple[asyncio.Task[None], asyncio.Event]:
        end = asyncio.Event()

        async def read() -> None:
            REQUESTER.set(requester)  # Of this task alone.
            async with self._reads.slot():
                self.began.append(requester)
                await end.wait()

        return asyncio.create_task(read()), end


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.law("L14")
async def test_one_user_does_not_hold_all_reads() -> None:
    """A user's 60 reads take a part of the slots. Another user's read begins at once."""
    reading = _Reading(DatabaseReads(32, wait_s=60, shares=SHARES))
    tasks = [reading.begin(USER) for _ in range(60)]
    await _settle()
    held = len(reading.began)
    tasks.append(reading.begin(OTHER))
    await _settle()

    assert (held, reading.began[-1]) == (7, OTHER)
    for task, end in tasks:
        end.set()
        await task
    assert len(reading.began) == 61


async def test_a_free_slot_goes_to_the_requester_with_the_fewest() -> None:
    """The order of the requests does not matter: a user with many requests would always be first."""
    reading = _Reading(DatabaseReads(2, wait_s=60, shares=Shares(user=9, address=9)))
    first, second = reading.begin(USER), reading.begin(USER)
    await _settle()
    waiting = [reading.begin(USER) for _ in range(3)] + [reading.begin(OTHER), reading.begin(THIRD)]
    await _settle()
    first[1].set()
    await _settle()

    assert reading.began == [USER, USER, OTHER]
    for task, end in (first, second, *waiting):
        end.set()
        await task


async def test_a_wait_ends_in_time_and_leaves_nothing() -> None:
    """The slot of a read that was cancelled or too late is free again."""
    reads = DatabaseReads(1, wait_s=0.001, shares=SHARES)
    reading = _Reading(reads)
    first, end = reading.begin(USER)
    await _settle()
    late, cancelled = reading.begin(OTHER)[0], reading.begin(THIRD)[0]
    await _settle()
    cancelled.cancel()
    with pytest.raises(TooManyReads):
        await late
    end.set()
    await first

    async with AsyncExitStack() as slots:
        await slots.enter_async_context(reads.slot())
    assert reading.began == [USER]


@pytest.mark.parametrize("when", ["before", "at once", "after"])
async def test_a_turn_that_comes_with_a_cancellation_is_passed_on(when: str) -> None:
    """Otherwise the slot would be lost for good."""
    reads = DatabaseReads(1, wait_s=60, shares=SHARES)
    reading = _Reading(reads)
    async with reads.slot():
        (cancelled, _), (served, done) = reading.begin(OTHER), reading.begin(THIRD)
        await _settle()
        if when != "after":
            cancelled.cancel()
        if when == "before":
            await _settle()
    # Leaving the slot has given the turn, but the task that gets it has not run yet.
    cancelled.cancel()
    await _settle()

    assert reading.began == [THIRD]
    done.set()
    await served
