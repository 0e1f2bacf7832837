"""An operation is retried only while its store is unavailable and its partition is assigned."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.metrics import WAITING
from streams.settings import RetrySettings

RETRY = RetrySettings(store_attempts_max=3)


def waiting() -> float:
    return WAITING._value.get()  # type: ignore[no-any-return]  # The client has no public way to read one.


class FailingStore:
    """Unavailable for the first `failures` calls; `seen_waiting` has the metric at each call."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.seen_waiting: list[float] = []

    async def call(self) -> str:
        self.seen_waiting.append(waiting())
        if len(self.seen_waiting) <= self.failures:
            raise StoreUnavailable("cassandra", "read", "a test said so")
        return "row"


# Tries follow one another at once.
retry = partial(retry_until_available, RETRY, backoff_s=0)


def assigned_for(calls: int) -> Callable[[], bool]:
    """Return an `is_assigned` that is True for its first `calls` calls."""
    answers = iter([True] * calls)
    return lambda: next(answers, False)


@pytest.mark.parametrize("failures", [0, 1, 6])
async def test_the_result_comes_however_long_the_store_was_away(failures: int) -> None:
    """The retries go on after the operation has begun to count as waiting."""
    store = FailingStore(failures)
    result = await retry(store.call, is_assigned=lambda: True)

    assert ("row", failures + 1) == (result, len(store.seen_waiting))


async def test_an_operation_counts_as_waiting_from_its_last_quick_try_on() -> None:
    """It counts once, however often it is tried, until it has succeeded."""
    before, store = waiting(), FailingStore(6)
    await retry(store.call, is_assigned=lambda: True)

    assert [0, 0, 0, 1, 1, 1, 1] == [seen - before for seen in store.seen_waiting]
    assert before == waiting()


async def test_a_partition_that_was_revoked_is_not_waited_for() -> None:
    """Another worker has its records, so this one stops before the next try."""
    before, store = waiting(), FailingStore(9)
    with pytest.raises(PartitionRevoked):
        async with asyncio.timeout(10):
            await retry(store.call, is_assigned=assigned_for(4))

    assert 5 == len(store.seen_waiting)
    assert before == waiting()


async def test_an_operation_that_succeeds_at_once_needs_no_assignment() -> None:
    """The next owner may repeat the operation, and Kafka refuses this worker's commit."""
    assert "row" == await retry(FailingStore(0).call, is_assigned=lambda: False)


async def test_a_bug_is_not_retried() -> None:
    """The error is raised at once, and stops the worker."""
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await retry(fail, is_assigned=lambda: True)
    assert calls == 1
